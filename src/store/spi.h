/*
 * One SQL statement with the extension owner's rights.  Parameters are added
 * in order, the plan is kept for the session, and the result code must match.
 *
 *	kms_spi_begin(&spi);
 *	kms_spi_text(&spi, key_id);
 *	kms_spi_run(&spi, &plan, "…$1…", SPI_OK_SELECT);
 *	… SPI_tuptable, spi.processed …
 *	kms_spi_end(&spi);
 *
 * Each failure raises an error, which needs no clean-up.
 */
#ifndef KMS_STORE_SPI_H
#define KMS_STORE_SPI_H

#include "executor/spi.h"
#include "nodes/pg_list.h"

#include "pg/owner.h"

#define KMS_SPI_PARAMETERS 24

typedef struct KmsSpi
{
	KmsOwnerScope owner;
	MemoryContext caller;		/* the memory context of the caller of
								 * kms_spi_begin */
	int			count;
	Oid			types[KMS_SPI_PARAMETERS];
	Datum		values[KMS_SPI_PARAMETERS];
	char		nulls[KMS_SPI_PARAMETERS];
	uint64		processed;		/* rows, after kms_spi_run */
} KmsSpi;

extern void kms_spi_begin(KmsSpi *spi);

/*
 * Begin with the rights of the bootstrap superuser.  The statement may only
 * name objects that PostgreSQL itself has created, because no code of others
 * may run with these rights.
 */
extern void kms_spi_begin_catalogs(KmsSpi *spi);

/*
 * Until kms_spi_end, rows are read by an index and in its order, if there is
 * one, and no more rows than needed.  For statements that find a few rows of
 * many: statistics that are missing, or older than the rows, must not decide
 * about that.
 */
extern void kms_spi_by_index(KmsSpi *spi);
extern void kms_spi_datum(KmsSpi *spi, Oid type, Datum value);
extern void kms_spi_null(KmsSpi *spi, Oid type);
extern void kms_spi_text(KmsSpi *spi, const char *value);	/* NULL is null */
extern void kms_spi_bytes(KmsSpi *spi, const unsigned char *data, size_t len);

/* NULL if the length is 0. */
extern void kms_spi_optional_bytes(KmsSpi *spi, const unsigned char *data,
								   size_t len);
extern void kms_spi_int64(KmsSpi *spi, int64 value);
extern void kms_spi_double(KmsSpi *spi, double value);
extern void kms_spi_time(KmsSpi *spi, TimestampTz value);
extern void kms_spi_seconds(KmsSpi *spi, int seconds);	/* an interval */
extern void kms_spi_text_array(KmsSpi *spi, const List *strings);
extern void kms_spi_run(KmsSpi *spi, SPIPlanPtr *plan, const char *query,
						int expected);
extern void kms_spi_end(KmsSpi *spi);

/* Return a field of the result.  Rows count from 0, columns from 1. */
extern Datum kms_spi_field(uint64 row, int column, bool *isnull);

/*
 * End, and return the first field of the first row, an int8 or a time; or
 * "otherwise" if there is no row or the field is NULL.
 */
extern int64 kms_spi_end_with_int64(KmsSpi *spi, int64 otherwise);

/*
 * Return the first column, a text, of all rows as C strings in the caller's
 * context.
 */
extern List *kms_spi_texts(const KmsSpi *spi);

#endif							/* KMS_STORE_SPI_H */
