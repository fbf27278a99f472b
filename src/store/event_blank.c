#include "postgres.h"

#include "catalog/pg_type.h"

#include "store/event_blank.h"
#include "store/spi.h"

bool
kms_event_blank_row(bool is_aside, int64 epoch, int64 ticket,
					const unsigned char *proof, size_t len)
{
	static SPIPlanPtr plans[2];
	static const char *const queries[] = {
		"UPDATE kms.event SET device_id = NULL, client_addr = NULL,"
		" context = NULL, audit_context = NULL, salt = NULL, forgotten = $3,"
		" reason = CASE WHEN status OPERATOR(pg_catalog.=) 'failure'"
		" THEN reason END"
		" WHERE ticket OPERATOR(pg_catalog.=) $1"
		" AND epoch OPERATOR(pg_catalog.=) $2",
		"UPDATE kms.event_quarantine SET event = NULL, salt = NULL,"
		" forgotten = $3"
		" WHERE ticket OPERATOR(pg_catalog.=) $1"
		" AND epoch OPERATOR(pg_catalog.=) $2"
	};
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, ticket);
	kms_spi_int64(&spi, epoch);
	if (len > 0)
		kms_spi_bytes(&spi, proof, len);
	else
		kms_spi_null(&spi, BYTEAOID);
	kms_spi_run(&spi, &plans[is_aside], queries[is_aside], SPI_OK_UPDATE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	return done;
}

int64
kms_event_blank_outbox(const char *device_id)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	int64		count;

	kms_spi_begin(&spi);
	kms_spi_text(&spi, device_id);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.event_outbox SET device_id = NULL,"
				" client_addr = NULL, context = NULL, audit_context = NULL,"
				" reason = NULL"
				" WHERE device_id OPERATOR(pg_catalog.=) $1",
				SPI_OK_UPDATE);
	count = (int64) spi.processed;
	kms_spi_end(&spi);
	return count;
}
