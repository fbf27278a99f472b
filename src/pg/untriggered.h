/*
 * A process in which no trigger runs.
 */
#ifndef KMS_PG_UNTRIGGERED_H
#define KMS_PG_UNTRIGGERED_H

/*
 * From now on no statement of this process runs a trigger, whatever it is
 * enabled for: not one of a user, and not one that checks a foreign key or
 * acts on it.  For a background worker, once.
 */
extern void kms_untriggered_install(void);

/* Whether this is such a process. */
extern bool kms_untriggered;

#endif							/* KMS_PG_UNTRIGGERED_H */
