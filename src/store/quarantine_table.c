#include "postgres.h"

#include "utils/timestamp.h"

#include "store/quarantine_table.h"

#include "store/link.h"
#include "store/spi.h"

void
kms_quarantine_table_insert(KmsTrail *trail, const void *data, size_t len,
							const char *error)
{
	static const bool isnull[KMS_QUARANTINE_COLUMNS] = {false};
	static SPIPlanPtr plan = NULL;
	unsigned char salt[KMS_CHAIN_SALT_SIZE];
	unsigned char stored[KMS_CHAIN_STORED_SIZE];
	KmsChainQuarantine quarantined;
	KmsSpi		spi;

	kms_link_make_salts(salt, 1);
	trail->last_ticket++;
	kms_spi_begin(&spi);
	kms_spi_int64(&spi, trail->epoch);
	kms_spi_int64(&spi, trail->last_ticket);
	kms_spi_time(&spi, GetCurrentTimestamp());
	kms_spi_text(&spi, error);
	kms_spi_bytes(&spi, data, len);

	/* the parameters so far are the columns of the row, in order */
	kms_link_quarantine(spi.values, isnull, &quarantined);
	kms_link_chain_quarantine(&quarantined, salt, trail->hash);
	kms_link_write_hash(trail->hash, stored);
	kms_spi_bytes(&spi, salt, sizeof(salt));
	kms_spi_bytes(&spi, stored, sizeof(stored));
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.event_quarantine"
				" (epoch, ticket, set_aside_at, error, event, salt, hash)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7)",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}

bool
kms_quarantine_table_blank(int64 epoch, int64 ticket,
						   const unsigned char *proof, size_t len)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;
	bool		done;

	kms_spi_begin(&spi);
	kms_spi_int64(&spi, epoch);
	kms_spi_int64(&spi, ticket);
	kms_spi_optional_bytes(&spi, proof, len);
	kms_spi_run(&spi, &plan,
				"UPDATE kms.event_quarantine"
				" SET event = NULL, salt = NULL, forgotten = $3"
				" WHERE epoch = $1 AND ticket = $2",
				SPI_OK_UPDATE);
	done = spi.processed > 0;
	kms_spi_end(&spi);
	return done;
}
