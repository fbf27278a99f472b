/*
 * A subscriber stops with an error at the first row of a table that it does
 * not have.  If it has the extension, it may receive the keys, but no table
 * that each server writes itself, because both servers would write the same
 * rows.
 */
#include "postgres.h"

#include "keys/check_publication.h"

#include "pg/fault.h"
#include "store/publication.h"

#define WHAT_TO_PUBLISH \
	"Subscribers stop at the first row of a table that they do not have, and" \
	" of one that they write themselves. Publish tables by name: of kms only" \
	" key, key_secret, denial and pepper together, and field_key, for a server that has the extension."

/* Tables that a subscriber needs to decrypt, all of them or none. */
static const char *const keys[] = {
	"key", "key_secret", "denial", "pepper"
};

/*
 * Tables that each server writes itself.  Not "event", which may be copied to
 * a server that does not have the extension, and not "field_key", which a
 * subscriber may have without the others.
 */
static const char *const own[] = {
	"pool_key", "audit_key", "event_outbox", "event_epoch",
	"event_quarantine", "event_checkpoint", "metric", "maintenance"
};

static const char *first_of(const KmsPublication *publication,
							const char *const *tables, int count,
							bool carried);

void
kms_check_publication(KmsReport report, void *arg)
{
	ListCell   *cell;

	foreach(cell, kms_publication_all())
	{
		const KmsPublication *publication = lfirst(cell);
		const char *missing = first_of(publication, keys, lengthof(keys), false);
		const char *servers = first_of(publication, own, lengthof(own), true);

		if (publication->whole)
			report(arg, "warning",
				   psprintf("publication \"%s\" carries all tables of kms",
							publication->name),
				   WHAT_TO_PUBLISH);
		else if (servers != NULL)
			report(arg, "warning",
				   psprintf("publication \"%s\" carries kms.%s, which each server has of its own",
							publication->name, servers),
				   WHAT_TO_PUBLISH);
		else if (missing != NULL && first_of(publication, keys, lengthof(keys), true) != NULL)
			report(arg, "warning",
				   psprintf("publication \"%s\" carries tables of kms, but not kms.%s",
							publication->name, missing),
				   "A subscriber needs kms.key, kms.key_secret, kms.denial and kms.pepper together; without kms.denial a key that is revoked here may still open there.");
		else
			report(arg, "notice",
				   psprintf("publication \"%s\" carries tables of kms",
							publication->name),
				   "Its subscribers need these tables: create the extension there before they refresh the subscription, or, for kms.event alone, a table with the same columns.");
	}
}

void
kms_check_publication_warn(void)
{
	ListCell   *cell;

	foreach(cell, kms_publication_all())
	{
		const KmsPublication *publication = lfirst(cell);

		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("publication \"%s\" carries the tables of kms",
						publication->name),
				 errhint("%s", WHAT_TO_PUBLISH),
				 KMS_HIDE_STATEMENT));
	}
}

/*
 * Return the first table that the publication carries, or the first that it
 * does not carry if "carried" is false.  Return NULL if there is none.
 */
static const char *
first_of(const KmsPublication *publication, const char *const *tables,
		 int count, bool carried)
{
	int			i;

	for (i = 0; i < count; i++)
	{
		if (kms_publication_carries(publication, tables[i]) == carried)
			return tables[i];
	}
	return NULL;
}
