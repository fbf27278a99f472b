#include "postgres.h"

#include "keys/group.h"

#include "crypto/lanes.h"
#include "pg/fault.h"
#include "pg/settings.h"
#include "shmem/shared.h"

/* NULL if the lanes cannot be used, for the reason beside it */
static KmsLanes *lanes = NULL;
static const char *why_not = "kms was not preloaded";

static int	take_size(KmsGroupMember **members, int count, size_t block_size,
					  KmsGroupMember **taken, KmsLane *operations);
static void decrypt_size(KmsGroupMember **members, int count,
						 size_t block_size);

StaticAssertDecl(KMS_GROUP_MAX == KMS_LANES_MOST,
				 "a group fills the lanes");

void
kms_group_install(void)
{
	lanes = kms_lanes_new(&why_not);
	if (kms_group_failed_at_start())
		ereport(WARNING,
				(errmsg("kms does not use crypto_mb: %s", why_not),
				 KMS_HIDE_STATEMENT));
}

int
kms_group_size(void)
{
	return kms_group_why_not() == NULL ? KMS_GROUP_MAX : 1;
}

const char *
kms_group_why_not(void)
{
	if (lanes != NULL && kms_multi_buffer == KMS_MULTI_BUFFER_OFF)
		return "kms.multi_buffer is off";
	return why_not;
}

bool
kms_group_failed_at_start(void)
{
	return why_not != NULL && strcmp(why_not, KMS_LANES_WRONG_ANSWER) == 0;
}

uint64
kms_group_wrong_results(void)
{
	return pg_atomic_read_u64(&kms_shared->wrong_lanes);
}

void
kms_group_decrypt(KmsGroupMember **members, int count)
{
	size_t		bits;

	if (kms_group_why_not() != NULL)
		return;
	for (bits = 2048; bits <= 4096; bits += 1024)
		decrypt_size(members, count, bits / 8);
}

/* Decrypt the members whose keys have this size. */
static void
decrypt_size(KmsGroupMember **members, int count, size_t block_size)
{
	KmsGroupMember *taken[KMS_GROUP_MAX];
	KmsLane		operations[KMS_GROUP_MAX];
	int			wrong;
	int			i;

	count = take_size(members, count, block_size, taken, operations);
	if (count < kms_lanes_least(block_size))
		return;
	wrong = kms_lanes_decrypt(lanes, operations, count,
							  kms_multi_buffer != KMS_MULTI_BUFFER_UNBLINDED);
	for (i = 0; i < count; i++)
	{
		if (operations[i].done)
			taken[i]->opened->padded = taken[i]->padded;
	}
	if (wrong > 0)
	{
		pg_atomic_fetch_add_u64(&kms_shared->wrong_lanes, wrong);
		kms_shared_count(KMS_COUNT_WRONG_LANES, wrong);
	}
}

static int
take_size(KmsGroupMember **members, int count, size_t block_size,
		  KmsGroupMember **taken, KmsLane *operations)
{
	int			found = 0;
	int			i;

	for (i = 0; i < count; i++)
	{
		KmsGroupMember *member = members[i];

		if (member->opened->block_size != block_size)
			continue;
		operations[found].key = member->opened->key;
		operations[found].in = kms_cipher_block(member->request,
												member->opened);
		operations[found].out = member->padded;
		taken[found++] = member;
	}
	return found;
}

void
kms_group_wipe(KmsGroupMember *member)
{
	if (member->opened != NULL)
		member->opened->padded = NULL;
	explicit_bzero(member->padded, sizeof(member->padded));
}
