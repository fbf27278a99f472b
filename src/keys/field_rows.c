#include "postgres.h"

#include "keys/field_rows.h"

#include "keys/field_row.h"

static bool is_of(const KmsFieldRow *row, const KmsFieldHead *head,
				  int version);

/*
 * Read the rows of a key.  They have not been authenticated, and not even the
 * index by which they are found can be relied on.
 */
bool
kms_field_rows_read(const KmsFieldHead *head, KmsFieldRows *rows)
{
	const char *field;

	if (!kms_field_key_table_read_id(head->id, head->version, &rows->version) ||
		!kms_field_key_table_read_id(head->id, KMS_FIELD_WHOLE, &rows->whole) ||
		!is_of(&rows->version, head, head->version) ||
		!is_of(&rows->whole, head, KMS_FIELD_WHOLE) ||
		strcmp(rows->version.name, rows->whole.name) != 0)
		return false;
	field = kms_field_rows_field(rows->whole.name);
	rows->has_field = strcmp(field, rows->whole.name) != 0;
	return !rows->has_field ||
		kms_field_key_table_read(field, KMS_FIELD_WHOLE, &rows->field);
}

static bool
is_of(const KmsFieldRow *row, const KmsFieldHead *head, int version)
{
	return row->version == version &&
		memcmp(row->id, head->id, sizeof(row->id)) == 0;
}

/* Return the name of the field: the part before the dot. */
const char *
kms_field_rows_field(const char *name)
{
	const char *dot = strchr(name, '.');

	return dot == NULL ? name : pnstrdup(name, dot - name);
}

/* A denial is in force even if its row does not authenticate. */
KmsStatus
kms_field_rows_judge(const KmsFieldRows *rows, KmsFault *fault)
{
	KmsStatus	status = KMS_OK;

	if (rows->has_field)
		status = kms_field_rows_judge_one(&rows->field, fault);
	if (status == KMS_OK)
		status = kms_field_rows_judge_one(&rows->whole, fault);
	if (status == KMS_OK)
		status = kms_field_rows_judge_one(&rows->version, fault);
	return status;
}

KmsStatus
kms_field_rows_judge_one(const KmsFieldRow *row, KmsFault *fault)
{
	const char *what = row->version == KMS_FIELD_WHOLE
	? psprintf("field key \"%s\"", row->name)
	: psprintf("version %d of field key \"%s\"", row->version, row->name);

	if (row->state == KMS_FIELD_DESTROYED)
	{
		fault->message = psprintf("%s was destroyed", what);
		return kms_fault(fault, KMS_FIELD_KEY_DESTROYED);
	}
	if (row->state == KMS_FIELD_DISABLED)
	{
		fault->message = psprintf("%s is disabled", what);
		return kms_fault(fault, KMS_FIELD_KEY_DISABLED);
	}
	return kms_fault(fault, KMS_OK);
}

KmsStatus
kms_field_rows_authenticate(const KmsFieldRows *rows, KmsFault *fault)
{
	KmsStatus	status = kms_field_rows_check_one(&rows->version, fault);

	if (status == KMS_OK && rows->version.version != KMS_FIELD_WHOLE)
		status = kms_field_rows_check_one(&rows->whole, fault);
	if (status == KMS_OK && rows->has_field)
		status = kms_field_rows_check_one(&rows->field, fault);
	return status;
}

KmsStatus
kms_field_rows_check_one(const KmsFieldRow *row, KmsFault *fault)
{
	KmsStatus	status = row->state == KMS_FIELD_ENABLED
	? kms_field_row_check(row, fault) : KMS_NOT_AUTHENTIC;

	return kms_field_rows_fault(row, status, fault);
}

KmsStatus
kms_field_rows_fault(const KmsFieldRow *row, KmsStatus status,
					 KmsFault *fault)
{
	char		id[2 * KMS_MASTER_KEY_ID_SIZE + 1];

	if (status == KMS_NOT_AUTHENTIC)
		return kms_field_rows_not_authentic(row->name, fault);
	if (status == KMS_OTHER_MASTER_KEY)
	{
		kms_master_key_id_text(fault->master_key_id, id);
		fault->message = psprintf("field key \"%s\" was wrapped under master key \"%s\", which this server does not have",
								  row->name, id);
	}
	return kms_fault(fault, status);
}

KmsStatus
kms_field_rows_not_authentic(const char *name, KmsFault *fault)
{
	fault->message = psprintf("stored field key \"%s\" does not authenticate",
							  name);
	fault->hint = "Its rows of kms.field_key were changed behind the extension's back; restore them from a backup.";
	return kms_fault(fault, KMS_NOT_AUTHENTIC);
}

void
kms_field_rows_label(const KmsFieldRow *row, char *label)
{
	if (row->version == KMS_FIELD_WHOLE)
		snprintf(label, KMS_FIELD_LABEL_SIZE, "%s/index", row->name);
	else
		snprintf(label, KMS_FIELD_LABEL_SIZE, "%s/%d", row->name,
				 row->version);
}
