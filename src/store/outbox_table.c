#include "postgres.h"

#include "catalog/pg_type.h"

#include "store/outbox_table.h"
#include "store/spi.h"

static void
bind_optional(KmsSpi *spi, const char *value)
{
	kms_spi_text(spi, value[0] == '\0' ? NULL : value);
}

void
kms_outbox_table_insert(const KmsEvent *event)
{
	static SPIPlanPtr plan = NULL;
	KmsSpi		spi;

	kms_spi_begin(&spi);
	kms_spi_time(&spi, event->occurred_at);
	kms_spi_text(&spi, kms_event_operation_name(event->operation));
	bind_optional(&spi, event->context);
	if (event->duration_us < 0)
		kms_spi_null(&spi, FLOAT8OID);
	else
		kms_spi_double(&spi, event->duration_us / 1000.0);
	bind_optional(&spi, event->key_id);
	bind_optional(&spi, event->device_id);
	bind_optional(&spi, event->session_role);
	bind_optional(&spi, event->effective_role);
	bind_optional(&spi, event->client_addr);
	bind_optional(&spi, event->application_name);
	bind_optional(&spi, event->audit_context);
	bind_optional(&spi, event->caller_role);
	kms_spi_int64(&spi, event->calls);
	bind_optional(&spi, event->form);
	kms_spi_run(&spi, &plan,
				"INSERT INTO kms.event_outbox (occurred_at, operation, reason,"
				" duration_ms, key_id, device_id, session_role, effective_role,"
				" client_addr, application_name, audit_context, context,"
				" caller_role, calls, form)"
				" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $3,"
				" $12, $13, $14)",
				SPI_OK_INSERT);
	kms_spi_end(&spi);
}
