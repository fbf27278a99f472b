/*
 * A session is protected when it has authenticated, before it can hold any
 * secret.  The postmaster is not protected, because that would break the
 * adjustment of the out-of-memory killer in Debian's packages.
 */
#include "postgres.h"

#include <sys/prctl.h>

#include "pg/protect.h"

#include "pg/settings.h"

/*
 * Declarations of libpq/auth.h, which cannot be included where the headers of
 * GSSAPI are not installed.
 */
struct Port;
typedef void (*ClientAuthentication_hook_type) (struct Port *, int);
extern PGDLLIMPORT ClientAuthentication_hook_type ClientAuthentication_hook;

static ClientAuthentication_hook_type previous_hook = NULL;

static void on_authentication(struct Port *port, int status);

void
kms_protect_install(void)
{
	previous_hook = ClientAuthentication_hook;
	ClientAuthentication_hook = on_authentication;
}

void
kms_protect_process(void)
{
	if (kms_protect_memory)
		(void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void
on_authentication(struct Port *port, int status)
{
	if (previous_hook != NULL)
		previous_hook(port, status);
	kms_protect_process();
}
