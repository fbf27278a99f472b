#include "postgres.h"

#include "keys/master_key_status.h"

#include "keys/month_key.h"
#include "keys/rewrap.h"
#include "shmem/master.h"
#include "store/wrapped.h"

static void add_use(List **lines, const KmsMasterKeyUse *use,
					const KmsMasterStatus *status);
static void add_state(List **lines, const char *status, const char *detail);

List *
kms_master_key_status_read(void)
{
	KmsMasterStatus *status = palloc(sizeof(KmsMasterStatus));
	List	   *lines = NIL;
	ListCell   *cell;

	kms_master_status(status);
	foreach(cell, kms_rewrap_uses())
		add_use(&lines, lfirst(cell), status);
	if (status->state == KMS_MASTER_UNREAD)
		add_state(&lines, "unread",
				  status->running_since != 0
				  ? "kms.master_key_command is still running."
				  : "The launcher has not read it yet.");
	else if (status->running_since != 0)
		add_state(&lines, "running",
				  "kms.master_key_command is running; the keys read before are in force.");
	else if (status->state == KMS_MASTER_UNSET)
		add_state(&lines, "unset",
				  "Neither kms.master_key_file nor kms.master_key_command is set.");
	else if (status->reason[0] != '\0')
		add_state(&lines, "refused", status->reason);
	return lines;
}

static void
add_use(List **lines, const KmsMasterKeyUse *use,
		const KmsMasterStatus *status)
{
	KmsMasterKeyLine *line = palloc0(sizeof(KmsMasterKeyLine));
	int			place = use->place;

	line->has_id = true;
	memcpy(line->id, use->id, sizeof(line->id));
	line->keys = use->used ? kms_wrapped_count(KMS_WRAPPED_KEYS, use->id) : 0;
	line->field_keys = use->used ? kms_wrapped_count(KMS_WRAPPED_FIELDS, use->id)
		: 0;
	line->peppers = use->peppers;
	line->status = "missing";
	line->detail = "Rows are wrapped under it, and the server does not have it.";
	if (place >= 0)
	{
		strlcpy(line->label, status->label[place], sizeof(line->label));
		line->status = place == 0 ? "current"
			: kms_month_key_stays(status, place) ? "epoch" : "available";
		line->detail = NULL;
		if (use->used && !kms_month_key_stays(status, place))
			line->detail = "kms_rewrap_keys() moves what is wrapped under it.";
		else if (!use->used && kms_month_key_is_over(status, place))
			line->detail = "Its month is over and no row of this database needs it: it can be destroyed.";
		else if (!use->used && !kms_month_key_stays(status, place))
			line->detail = "No row of this database needs it: its line can be removed.";
	}
	*lines = lappend(*lines, line);
}

static void
add_state(List **lines, const char *status, const char *detail)
{
	KmsMasterKeyLine *line = palloc0(sizeof(KmsMasterKeyLine));

	line->status = status;
	line->detail = detail;
	*lines = lappend(*lines, line);
}
