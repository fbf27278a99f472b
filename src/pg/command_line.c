#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "storage/fd.h"

#include "pg/command_line.h"

#define OPTS_FILE "postmaster.opts" /* in the data directory */
#define OPTS_MAX 65536			/* bytes read of it */

static List *read_arguments(void);

List *
kms_command_line_settings(void)
{
	List	   *settings = NIL;
	bool		after_c = false;
	ListCell   *cell;

	foreach(cell, read_arguments())
	{
		char	   *argument = lfirst(cell);
		char	   *c;

		if (strcmp(argument, "-c") == 0)
		{
			after_c = true;
			continue;
		}
		if (!after_c && (strncmp(argument, "--", 2) == 0 ||
						 strncmp(argument, "-c", 2) == 0))
			argument += 2;
		else if (!after_c)
			continue;
		after_c = false;
		if (pg_strncasecmp(argument, "kms.", 4) != 0)
			continue;
		/* Convert as the server does: see ParseLongOption. */
		for (c = argument; *c != '\0' && *c != '='; c++)
		{
			if (*c == '-')
				*c = '_';
		}
		settings = lappend(settings, argument);
	}
	return settings;
}

/*
 * Return the arguments.  Each is in double quotes, and the program before them
 * is not.
 */
static List *
read_arguments(void)
{
	char	   *content = palloc(OPTS_MAX);
	int			file = OpenTransientFile(OPTS_FILE, O_RDONLY | PG_BINARY);
	ssize_t		len;
	char	   *start;
	char	   *end;
	List	   *arguments = NIL;

	if (file < 0)
		return NIL;
	len = read(file, content, OPTS_MAX - 1);
	CloseTransientFile(file);
	content[Max(len, 0)] = '\0';
	for (start = strchr(content, '"'); start != NULL; start = strchr(end + 1, '"'))
	{
		start++;
		end = strstr(start, "\" \"");
		if (end == NULL)
			end = strrchr(start, '"');
		if (end == NULL)
			break;
		arguments = lappend(arguments, pnstrdup(start, end - start));
	}
	return arguments;
}
