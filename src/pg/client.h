/*
 * Where the client of this session is, also in its parallel workers.
 */
#ifndef KMS_PG_CLIENT_H
#define KMS_PG_CLIENT_H

/* The numeric address of the client, "" for a local one and where is none. */
extern const char *kms_client_address(void);

/*
 * Whether what is returned leaves over TCP/IP without TLS.  Also to the
 * machine itself, for a proxy may stand there.  Where that cannot be found
 * out (a parallel worker whose leader is gone): yes.
 */
extern bool kms_client_in_clear(void);

#endif							/* KMS_PG_CLIENT_H */
