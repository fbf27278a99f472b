/*
 * A process in which no trigger runs.
 */
#ifndef KMS_PG_UNTRIGGERED_H
#define KMS_PG_UNTRIGGERED_H

/*
 * From now on, no statement of this process runs a trigger, whatever it is
 * enabled for: neither a user's trigger nor one that checks or enforces a
 * foreign key.  A background worker calls this once.
 */
extern void kms_untriggered_install(void);

/* True if this is such a process. */
extern bool kms_untriggered;

#endif							/* KMS_PG_UNTRIGGERED_H */
