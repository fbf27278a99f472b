#include "postgres.h"

#include "lib/stringinfo.h"

#include "keys/name_list.h"

char *
kms_name_list_join(const List *names)
{
	StringInfoData out;
	ListCell   *cell;

	initStringInfo(&out);
	foreach(cell, names)
	{
		if (foreach_current_index(cell) == KMS_NAME_LIST_MAX)
		{
			appendStringInfoString(&out, ", ...");
			break;
		}
		appendStringInfo(&out, "%s%s", foreach_current_index(cell) > 0 ? ", " : "",
						 (char *) lfirst(cell));
	}
	return out.data;
}
