/*
 * Versions of kms: numbers with dots between them, as "1.0".
 */
#ifndef KMS_PG_VERSION_H
#define KMS_PG_VERSION_H

/*
 * Return a number less than, equal to or greater than 0 if version "a" is
 * older than, the same as or newer than "b".  A missing number counts as 0,
 * and text after the last number is ignored.
 */
extern int	kms_version_compare(const char *a, const char *b);

#endif							/* KMS_PG_VERSION_H */
