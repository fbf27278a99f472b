/*
 * The client of this session, also for its parallel workers.
 */
#ifndef KMS_PG_CLIENT_H
#define KMS_PG_CLIENT_H

/*
 * Return the numeric address of the client, or "" if it is local or there is
 * none.
 */
extern const char *kms_client_address(void);

/*
 * Return true if results are sent over TCP/IP without TLS, even to this
 * machine itself, because the peer may be a proxy.  If that is unknown (a
 * parallel worker whose leader has ended), return true.
 */
extern bool kms_client_in_clear(void);

#endif							/* KMS_PG_CLIENT_H */
