/*
 * The load of test/faults and test/patroni: clients that call kms without a
 * break and note the calls that were acknowledged to them, where no fault of
 * the server reaches.
 *
 *	 load run DIRECTORY RUN CLIENTS SEED CONNINFO [timed|read]
 *	 load check DIRECTORY RUN CLIENTS < rows of kms.event
 *
 * Each call has a tag of its own in kms.audit_context, RUN-CLIENT-NUMBER, set
 * by the statement that calls.  A call is acknowledged when its statement's
 * whole result is here, a change when its transaction's end is; an error that
 * was asked for (a damaged ciphertext, a limit) counts as well.
 *
 * "run" reads commands and says when it has done so: "pause", "resume", "read"
 * (go on, but only with what changes nothing), and "end", when it tells what
 * errors there were.  DIRECTORY/keys has a
 * line a device, phone-1 and up: its key, a ciphertext of PIN, one that the
 * key rejects.  Client n changes the state of key toggle-n.  "timed" sets
 * application_name to when the call began, for the server's log; "read" begins
 * in that state.
 *
 * "check" reads lines of audit_context, operation and status, parted by tabs,
 * and compares them with the notes.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define PIN				"1234"
/* bcrypt of something else, at its least cost */
#define OTHER_HASH		"$2b$04$abcdefghijklmnopqrstuu0HtfOlPbTiymk5tcV.3TsFPDd3SYZqu"
#define PHONES_MAX		64
#define CLIENTS_MAX		256
#define PIPELINE		16		/* calls sent before the first answer */
#define ROWS			8		/* calls in one statement */
#define TRIES_A_DEVICE	8		/* rotations of a device with a limit of 5 */
#define STATES_MAX		64
#define RECONNECT_US	20000
#define TAG_SIZE		64
#define BATCH			'B'		/* a note that a batch begins with this call */
#define END				'='		/* how many calls there were */

/* The calls, in the order of operations[]. */
typedef enum Kind
{
	ENCRYPT,
	ENCRYPT_ROWS,
	DECRYPT,
	DECRYPT_BATCH,
	TRY_DECRYPT,
	REJECTED,
	ISSUE,
	VERIFY,
	NEW_KEY,
	ROTATE,
	REVOKE,
	DISABLE,
	ENABLE,
	KINDS
} Kind;

typedef struct Operation
{
	const char *name;			/* of the prepared statement */
	const char *sql;			/* %s sets the tag */
	char		done;			/* how it is noted when it succeeds, or 0 */
	const char *refusal;		/* the error that is asked for, or NULL */
	char		refused;		/* how that is noted */
} Operation;

/* The event that the trail must have because of a note. */
typedef struct Note
{
	char		code;
	const char *operation;
	const char *status;
	bool		unassured;		/* kms.audit = required does not wait for it
								 * either */
} Note;

/* A call, as the check knows it. */
typedef struct Call
{
	char		code;			/* of its note; 0: not acknowledged */
	bool		batch;			/* the first of one */
	bool		recorded;
} Call;

typedef struct Client
{
	int			number;			/* 1 and up */
	pthread_t	thread;
	PGconn	   *conn;
	bool		prepared[KINDS];
	uint64_t	random;
	int64_t		issued;			/* calls, so also the newest one's number */
	int64_t		acknowledged;
	FILE	   *notes;
	FILE	   *keys;
	char		made[72];		/* a key to revoke, or "" */
	bool		disabled;		/* key toggle-<number>, */
	bool		unsure;			/* if the last change was answered */
} Client;

static const Operation operations[KINDS] = {
	[ENCRYPT] = {"encrypt", "SELECT %s, kms_encrypt($2, '" PIN "')", 'e'},
	[ENCRYPT_ROWS] = {"encrypt_rows",
		"SELECT %s, kms_encrypt($2, '" PIN "')"
	" FROM generate_series($3::bigint, $4::bigint) AS i", 'e'},
	[DECRYPT] = {"decrypt", "SELECT %s, kms_decrypt($2, $3)", 'd'},
	[DECRYPT_BATCH] = {"batch",
		"SELECT count(*) FILTER (WHERE b.plaintext = '" PIN "')"
		" FROM (SELECT %s AS c) AS t, LATERAL kms_decrypt_batch("
		"array_fill($2 || left(t.c, 0), ARRAY[$4::int]),"
	" array_fill($3::text, ARRAY[$4::int])) AS b", 'b'},
	[TRY_DECRYPT] = {"try", "SELECT %s, kms_try_decrypt($2, $3)", 'f'},
	[REJECTED] = {"rejected", "SELECT %s, kms_decrypt($2, $3)", 0, "KM001", 'f'},
	[ISSUE] = {"issue",
		"SELECT k.key_id FROM (SELECT %s AS c) AS t,"
	" LATERAL kms_issue_key($2 || left(t.c, 0)) AS k", 'i'},
	[VERIFY] = {"verify",
	"SELECT %s, kms_verify_secret($2, $3, '" OTHER_HASH "')", 'v'},
	[NEW_KEY] = {"new_key",
		"SELECT k.key_id, k.public_key FROM (SELECT %s AS c) AS t,"
	" LATERAL kms_issue_key($2 || left(t.c, 0)) AS k", 'g'},
	[ROTATE] = {"rotate",
		"SELECT k.key_id, k.public_key FROM (SELECT %s AS c) AS t,"
	" LATERAL kms_rotate_key($2 || left(t.c, 0)) AS k", 'r', "KM005", 'l'},
	[REVOKE] = {"revoke", "SELECT %s, kms_revoke_key($2, 'campaign')", 'k'},
	[DISABLE] = {"disable", "SELECT %s, kms_disable_key($2)", 'x'},
	[ENABLE] = {"enable", "SELECT %s, kms_enable_key($2)", 'y'}
};

static const Note notes[] = {
	{'e', "encrypt", "success"},
	{'d', "decrypt", "success"},
	{'b', "decrypt", "success"},
	{'f', "decrypt", "failure"},
	{'i', "issue", "success"},
	{'v', "verify", "failure"},
	{'g', "generate", "success"},
	{'r', "rotate", "success"},
	{'l', "rotate", "failure", true},
	{'k', "revoke", "success"},
	{'x', "disable", "success"},
	{'y', "enable", "success"},
	{'Y', "enable", "success", true},	/* perhaps it changed nothing */
	{'z', "disable", "failure", true},	/* rolled back */
	{0}
};

static const char *directory;
static const char *run;
static const char *conninfo;
static bool timed;

static Client clients[CLIENTS_MAX];
static int	client_count;

static struct
{
	char		key[72];
	char		good[1024];
	char		bad[1024];
}			phones[PHONES_MAX];
static int	phone_count;

/* Whether clients are to rest or to end, and how many rest. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool paused;
static bool ended;
static bool reading;			/* only what changes nothing */
static int	resting;

/* Errors by SQLSTATE; under the mutex. */
static struct
{
	char		state[6];
	int64_t		count;
	double		slowest;		/* seconds */
}			states[STATES_MAX];
static int64_t rotations;

static int	run_load(uint64_t seed);
static void read_phones(void);
static void *client_main(void *arg);
static bool may_go_on(void);
static void reconnect(Client *client);
static void be_quiet(void *arg, const char *message);
static void take_turn(Client *client);
static void encrypt_in_pipeline(Client *client);
static void roll_back(Client *client);
static void change_and_commit(Client *client);
static bool call(Client *client, Kind kind, const char *a, const char *b);
static bool call_rows(Client *client);
static void decrypt_batch(Client *client);
static PGresult *execute(Client *client, Kind kind, int count,
						 const char *const *values);
static bool prepare(Client *client, Kind kind);
static bool judge(Client *client, Kind kind, int64_t number,
				  const PGresult *result, double seconds);
static bool simple(Client *client, const char *sql);
static void take_note(Client *client, char code, int64_t number);
static void note_key(Client *client, Kind kind, const PGresult *result);
static bool encrypt_as_device(const char *pem, char *out, size_t size);
static void count_error(const char *state, double seconds);
static uint64_t draw(Client *client, uint64_t below);
static double now(void);
static FILE *open_file(const char *name, int number, const char *mode);
static int	check(void);
static Call *read_notes(int number, int64_t *issued, int64_t *acknowledged);
static const Note *find_note(char code);
static void die(const char *what);

int
main(int argc, char **argv)
{
	if (argc < 5)
		die("wrong arguments");
	directory = argv[2];
	run = argv[3];
	client_count = atoi(argv[4]);
	if (client_count < 1 || client_count > CLIENTS_MAX)
		die("wrong number of clients");
	if (strcmp(argv[1], "check") == 0)
		return check();
	if (argc < 7)
		die("wrong arguments");
	conninfo = argv[6];
	timed = argc > 7 && strcmp(argv[7], "timed") == 0;
	reading = argc > 7 && strcmp(argv[7], "read") == 0;
	return run_load(strtoull(argv[5], NULL, 10));
}

/* ---- Running --------------------------------------------------------- */

static int
run_load(uint64_t seed)
{
	char		line[64];
	int64_t		issued = 0;
	int64_t		acknowledged = 0;
	int			i;

	read_phones();
	for (i = 0; i < client_count; i++)
	{
		Client	   *client = &clients[i];

		client->number = i + 1;
		client->random = (seed + 1) * UINT64_C(0x9E3779B97F4A7C15) + i;
		client->notes = open_file("notes", client->number, "w");
		client->keys = open_file("made", client->number, "w");
		if (pthread_create(&client->thread, NULL, client_main, client) != 0)
			die("could not start a client");
	}

	while (!ended)
	{
		if (fgets(line, sizeof(line), stdin) == NULL)
			strcpy(line, "end\n");
		pthread_mutex_lock(&mutex);
		paused = strcmp(line, "pause\n") == 0;
		ended = strcmp(line, "end\n") == 0;
		reading = strcmp(line, "read\n") == 0;
		pthread_cond_broadcast(&changed);
		while (paused && resting < client_count)
			pthread_cond_wait(&changed, &mutex);
		pthread_mutex_unlock(&mutex);
		if (!ended)
		{
			printf("done\n");
			fflush(stdout);
		}
	}
	for (i = 0; i < client_count; i++)
	{
		Client	   *client = &clients[i];

		pthread_join(client->thread, NULL);
		fprintf(client->notes, "%c %" PRId64 "\n", END, client->issued);
		if (fclose(client->notes) != 0 || fclose(client->keys) != 0)
			die("could not write the notes");
		issued += client->issued;
		acknowledged += client->acknowledged;
	}
	printf("calls %" PRId64 " %" PRId64 "\n", issued, acknowledged);
	for (i = 0; i < STATES_MAX && states[i].count > 0; i++)
		printf("error %s %" PRId64 " %.3f\n", states[i].state,
			   states[i].count, states[i].slowest);
	printf("done\n");
	return 0;
}

static void
read_phones(void)
{
	FILE	   *file = open_file("keys", 0, "r");

	while (phone_count < PHONES_MAX &&
		   fscanf(file, "%71s %1023s %1023s", phones[phone_count].key,
				  phones[phone_count].good, phones[phone_count].bad) == 3)
		phone_count++;
	fclose(file);
	if (phone_count == 0)
		die("there is no key");
}

static void *
client_main(void *arg)
{
	Client	   *client = arg;

	while (may_go_on())
	{
		if (PQstatus(client->conn) != CONNECTION_OK)
			reconnect(client);
		else
			take_turn(client);
	}
	PQfinish(client->conn);
	return NULL;
}

/* Rests while all have to. */
static bool
may_go_on(void)
{
	bool		go_on;

	pthread_mutex_lock(&mutex);
	if (paused && !ended)
	{
		resting++;
		pthread_cond_broadcast(&changed);
		while (paused && !ended)
			pthread_cond_wait(&changed, &mutex);
		resting--;
	}
	go_on = !ended;
	pthread_mutex_unlock(&mutex);
	return go_on;
}

static void
reconnect(Client *client)
{
	PQfinish(client->conn);
	memset(client->prepared, 0, sizeof(client->prepared));
	client->conn = PQconnectdb(conninfo);
	PQsetNoticeProcessor(client->conn, be_quiet, NULL);
	if (PQstatus(client->conn) != CONNECTION_OK)
		usleep(RECONNECT_US);
}

static void
be_quiet(void *arg, const char *message)
{
	(void) arg;
	(void) message;
}

/* Mostly what is cheap, so that there are many calls between two faults. */
static void
take_turn(Client *client)
{
	/* the first ones change something */
	uint64_t	chance = reading ? 1200 + draw(client, 18800) : draw(client, 20000);
	int			phone = (int) draw(client, phone_count);
	char		device[TAG_SIZE];

	if (chance < 3)
	{
		snprintf(device, sizeof(device), "new-%s-%d-%" PRId64, run,
				 client->number, client->issued);
		(void) call(client, NEW_KEY, device, NULL);
	}
	else if (chance < 17)
	{
		int64_t		number;

		/* several clients at once want the keys of one device */
		pthread_mutex_lock(&mutex);
		number = rotations++ / TRIES_A_DEVICE;
		pthread_mutex_unlock(&mutex);
		snprintf(device, sizeof(device), "limited-%s-%" PRId64, run, number);
		(void) call(client, ROTATE, device, NULL);
	}
	else if (chance < 19 && client->made[0] != '\0')
	{
		if (call(client, REVOKE, client->made, NULL))
			fprintf(client->keys, "revoked %s\n", client->made);
		client->made[0] = '\0';
	}
	else if (chance < 22)
		(void) call(client, VERIFY, phones[phone].key, phones[phone].good);
	else if (chance < 800)
		change_and_commit(client);
	else if (chance < 1200)
		roll_back(client);
	else if (chance < 2000)
		(void) call(client, REJECTED, phones[phone].key, phones[phone].bad);
	else if (chance < 3000)
		(void) call(client, TRY_DECRYPT, phones[phone].key, phones[phone].bad);
	else if (chance < 5000)
		(void) call(client, DECRYPT, phones[phone].key, phones[phone].good);
	else if (chance < 5200)
		decrypt_batch(client);
	else if (chance < 10000)
	{
		snprintf(device, sizeof(device), "phone-%d", phone + 1);
		(void) call(client, ISSUE, device, NULL);
	}
	else if (chance < 15000)
		(void) call_rows(client);
	else
		encrypt_in_pipeline(client);
}

static void
encrypt_in_pipeline(Client *client)
{
	const char *key = phones[draw(client, phone_count)].key;
	double		start = now();
	int64_t		first = client->issued + 1;
	int			i;

	if (!prepare(client, ENCRYPT) || PQenterPipelineMode(client->conn) != 1)
		return;
	for (i = 0; i < PIPELINE; i++)
	{
		char		tag[TAG_SIZE];
		const char *values[2] = {tag, key};

		snprintf(tag, sizeof(tag), "%s-%d-%" PRId64, run, client->number,
				 ++client->issued);
		if (PQsendQueryPrepared(client->conn, operations[ENCRYPT].name, 2,
								values, NULL, NULL, 0) != 1 ||
			PQpipelineSync(client->conn) != 1)
			break;
	}
	while (i-- > 0)
	{
		PGresult   *result = PQgetResult(client->conn);

		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
			die("an answer is missing in a pipeline");
		(void) judge(client, ENCRYPT, first++, result, now() - start);
		/* up to the sync that follows it */
		while (result != NULL &&
			   PQresultStatus(result) != PGRES_PIPELINE_SYNC)
		{
			PQclear(result);
			result = PQgetResult(client->conn);
			if (result == NULL)
				result = PQgetResult(client->conn);
		}
		PQclear(result);
		if (PQstatus(client->conn) != CONNECTION_OK)
			return;
	}
	if (PQexitPipelineMode(client->conn) != 1)
		PQreset(client->conn);
}

/*
 * Roll back a transaction: the trail has its reads, and its change as undone.
 */
static void
roll_back(Client *client)
{
	char		key[TAG_SIZE];
	int			phone = (int) draw(client, phone_count);
	int64_t		number;

	if (client->disabled || client->unsure)
		return;
	snprintf(key, sizeof(key), "toggle-%d", client->number);
	if (!simple(client, "BEGIN"))
		return;
	if (call(client, DECRYPT, phones[phone].key, phones[phone].good) &&
		call(client, DISABLE, key, NULL))
	{
		number = client->issued;
		if (simple(client, "ROLLBACK"))
			take_note(client, 'z', number);
	}
	else
		(void) simple(client, "ROLLBACK");
}

static void
change_and_commit(Client *client)
{
	Kind		kind = client->disabled || client->unsure ? ENABLE : DISABLE;
	bool		alone = draw(client, 2) == 0;
	char		key[TAG_SIZE];
	char		code = operations[kind].done;
	int64_t		number;

	snprintf(key, sizeof(key), "toggle-%d", client->number);
	if (!alone && !simple(client, "BEGIN"))
		return;
	if (client->unsure)
		code = 'Y';
	client->unsure = !call(client, kind, key, NULL);
	number = client->issued;
	if (!alone && !client->unsure)
		client->unsure = !call_rows(client) || !simple(client, "COMMIT");
	if (!client->unsure)
	{
		take_note(client, code, number);
		client->disabled = kind == DISABLE;
	}
	else if (!alone)
		(void) simple(client, "ROLLBACK");
}

/* One call with up to two arguments; true if it succeeded. */
static bool
call(Client *client, Kind kind, const char *a, const char *b)
{
	char		tag[TAG_SIZE];
	const char *values[3] = {tag, a, b};
	double		start = now();
	PGresult   *result;
	bool		succeeded;

	snprintf(tag, sizeof(tag), "%s-%d-%" PRId64, run, client->number,
			 ++client->issued);
	result = execute(client, kind, b != NULL ? 3 : 2, values);
	succeeded = judge(client, kind, client->issued, result, now() - start);
	PQclear(result);
	return succeeded;
}

/* Several calls in one statement, each with its tag. */
static bool
call_rows(Client *client)
{
	char		tag[TAG_SIZE];
	char		first[32];
	char		last[32];
	const char *values[4] = {tag, phones[draw(client, phone_count)].key,
	first, last};
	double		start = now();
	int64_t		number = client->issued;
	PGresult   *result;
	bool		succeeded;

	client->issued += ROWS;
	snprintf(tag, sizeof(tag), "%s-%d-", run, client->number);
	snprintf(first, sizeof(first), "%" PRId64, number + 1);
	snprintf(last, sizeof(last), "%" PRId64, client->issued);
	result = execute(client, ENCRYPT_ROWS, 4, values);
	succeeded = judge(client, ENCRYPT_ROWS, number + 1, result, now() - start);
	for (number += 2; succeeded && number <= client->issued; number++)
		take_note(client, operations[ENCRYPT_ROWS].done, number);
	PQclear(result);
	return succeeded;
}

/*
 * Make several calls with one tag, that of the first.  Note the attempt, too.
 */
static void
decrypt_batch(Client *client)
{
	int			phone = (int) draw(client, phone_count);
	char		tag[TAG_SIZE];
	char		count[32];
	const char *values[4] = {tag, phones[phone].key, phones[phone].good, count};
	int64_t		first = client->issued + 1;
	double		start = now();
	PGresult   *result;
	int			i;

	client->issued += ROWS;
	fprintf(client->notes, "%c %" PRId64 "\n", BATCH, first);
	snprintf(tag, sizeof(tag), "%s-%d-%" PRId64, run, client->number, first);
	snprintf(count, sizeof(count), "%d", ROWS);
	result = execute(client, DECRYPT_BATCH, 4, values);
	if (judge(client, DECRYPT_BATCH, first, result, now() - start))
	{
		for (i = 1; i < ROWS; i++)
			take_note(client, operations[DECRYPT_BATCH].done, first + i);
	}
	PQclear(result);
}

static PGresult *
execute(Client *client, Kind kind, int count, const char *const *values)
{
	if (!prepare(client, kind))
		return NULL;
	return PQexecPrepared(client->conn, operations[kind].name, count, values,
						  NULL, NULL, 0);
}

static bool
prepare(Client *client, Kind kind)
{
	const Operation *operation = &operations[kind];
	char		tag[512];
	char		sql[1024];
	PGresult   *result;

	if (client->prepared[kind])
		return true;
	snprintf(tag, sizeof(tag),
			 timed ?
			 "concat(set_config('application_name',"
			 " extract(epoch FROM clock_timestamp())::text, false),"
			 " set_config('kms.audit_context', %s, false))" :
			 "set_config('kms.audit_context', %s, false)",
			 kind == ENCRYPT_ROWS ? "$1::text || i" : "$1::text");
	snprintf(sql, sizeof(sql), operation->sql, tag);
	result = PQprepare(client->conn, operation->name, sql, 0, NULL);
	client->prepared[kind] = PQresultStatus(result) == PGRES_COMMAND_OK;
	if (!client->prepared[kind])
		count_error(PQresultErrorField(result, PG_DIAG_SQLSTATE), 0);
	PQclear(result);
	return client->prepared[kind];
}

/*
 * Note an answer, except that of a change of state, which the end of its
 * transaction acknowledges.  Return true if the call succeeded.
 */
static bool
judge(Client *client, Kind kind, int64_t number, const PGresult *result,
	  double seconds)
{
	const Operation *operation = &operations[kind];
	const char *state;

	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		if (PQntuples(result) != (kind == ENCRYPT_ROWS ? ROWS : 1) ||
			operation->done == 0 ||
			(kind == DECRYPT && strcmp(PQgetvalue(result, 0, 1), PIN) != 0) ||
			(kind == DECRYPT_BATCH && atoi(PQgetvalue(result, 0, 0)) != ROWS) ||
			(kind == TRY_DECRYPT && !PQgetisnull(result, 0, 1)) ||
			(kind == VERIFY && strcmp(PQgetvalue(result, 0, 1), "f") != 0))
		{
			count_error("wrong", seconds);
			return false;
		}
		if (kind != DISABLE && kind != ENABLE)
			take_note(client, operation->done, number);
		if (kind == NEW_KEY || kind == ROTATE)
			note_key(client, kind, result);
		return true;
	}
	state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (state != NULL && operation->refusal != NULL &&
		strcmp(state, operation->refusal) == 0)
		take_note(client, operation->refused, number);
	else
		count_error(state, seconds);
	return false;
}

static bool
simple(Client *client, const char *sql)
{
	PGresult   *result = PQexec(client->conn, sql);
	bool		succeeded = PQresultStatus(result) == PGRES_COMMAND_OK &&
	/* what has failed is rolled back, whatever was asked for */
	strncmp(PQcmdStatus(result), sql, strlen(sql)) == 0;

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		count_error(PQresultErrorField(result, PG_DIAG_SQLSTATE), 0);
	PQclear(result);
	return succeeded;
}

static void
take_note(Client *client, char code, int64_t number)
{
	client->acknowledged++;
	fprintf(client->notes, "%c %" PRId64 "\n", code, number);
}

/* A key is noted with what only it opens. */
static void
note_key(Client *client, Kind kind, const PGresult *result)
{
	const char *key = PQgetvalue(result, 0, 0);
	char		ciphertext[1024];

	if (!encrypt_as_device(PQgetvalue(result, 0, 1), ciphertext,
						   sizeof(ciphertext)))
	{
		count_error("nokey", 0);
		return;
	}
	fprintf(client->keys, "made %s %s\n", key, ciphertext);
	if (kind == NEW_KEY)
		snprintf(client->made, sizeof(client->made), "%s", key);
}

static bool
encrypt_as_device(const char *pem, char *out, size_t size)
{
	BIO		   *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY   *key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	EVP_PKEY_CTX *ctx = key != NULL ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	unsigned char block[512];
	size_t		len = sizeof(block);
	bool		done;

	done = ctx != NULL && EVP_PKEY_encrypt_init(ctx) == 1 &&
		EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
		EVP_PKEY_encrypt(ctx, block, &len, (const unsigned char *) PIN,
						 strlen(PIN)) == 1 && len / 3 * 4 + 5 < size;
	if (done)
		(void) EVP_EncodeBlock((unsigned char *) out, block, (int) len);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return done;
}

static void
count_error(const char *state, double seconds)
{
	int			i;

	/* the connection has gone, without a word */
	if (state == NULL)
		state = "lost";
	pthread_mutex_lock(&mutex);
	for (i = 0; i < STATES_MAX; i++)
	{
		if (states[i].count == 0)
			snprintf(states[i].state, sizeof(states[i].state), "%s", state);
		if (strcmp(states[i].state, state) == 0)
			break;
	}
	if (i == STATES_MAX)
		die("too many kinds of errors");
	states[i].count++;
	if (seconds > states[i].slowest)
		states[i].slowest = seconds;
	pthread_mutex_unlock(&mutex);
}

/* xorshift64* */
static uint64_t
draw(Client *client, uint64_t below)
{
	client->random ^= client->random >> 12;
	client->random ^= client->random << 25;
	client->random ^= client->random >> 27;
	return (client->random * UINT64_C(0x2545F4914F6CDD1D) >> 33) % below;
}

static double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

static FILE *
open_file(const char *name, int number, const char *mode)
{
	char		path[1024];
	FILE	   *file;

	if (number > 0)
		snprintf(path, sizeof(path), "%s/%s.%d", directory, name, number);
	else
		snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, mode);
	if (file == NULL)
		die(path);
	return file;
}

/* ---- Checking -------------------------------------------------------- */

static int
check(void)
{
	static Call *calls[CLIENTS_MAX];
	static int64_t issued[CLIENTS_MAX];
	char		line[1024];
	char		format[128];
	int64_t		acknowledged = 0;
	int64_t		recorded = 0;
	int64_t		lost = 0;
	int64_t		unassured = 0;	/* lost as well, but nobody waited for it */
	int64_t		doubled = 0;
	int64_t		unknown = 0;
	int64_t		wrong = 0;
	int64_t		others = 0;		/* recorded, but nobody saw them succeed */
	int64_t		rows = 0;
	int64_t		n;
	int			i;

	for (i = 0; i < client_count; i++)
		calls[i] = read_notes(i + 1, &issued[i], &acknowledged);

	snprintf(format, sizeof(format),
			 "%s-%%d-%%" SCNd64 "\t%%63s\t%%63s", run);
	while (fgets(line, sizeof(line), stdin) != NULL)
	{
		char		operation[64];
		char		status[64];
		Call	   *call;
		const Note *note;

		rows++;
		if (sscanf(line, format, &i, &n, operation, status) != 4 ||
			i < 1 || i > client_count || n < 1 || n > issued[i - 1])
		{
			unknown++;
			fprintf(stderr, "unknown: %s", line);
			continue;
		}
		call = &calls[i - 1][n];
		/* the events of a batch have one tag, its calls a number each */
		if (call->batch)
		{
			for (i = 1; i < ROWS && call->recorded; i++)
				call++;
		}
		note = find_note(call->code);

		/* what a rotation does besides has its tag as well */
		if (strcmp(operation, "deprecate") == 0 &&
			(note == NULL || note->code == 'r'))
			continue;
		if (call->recorded)
		{
			doubled++;
			fprintf(stderr, "doubled: %s", line);
		}
		else if (note != NULL && (strcmp(note->operation, operation) != 0 ||
								  strcmp(note->status, status) != 0))
		{
			wrong++;
			fprintf(stderr, "wrong: %s", line);
		}
		else if (note != NULL)
			recorded++;
		else
			others++;
		call->recorded = true;
	}
	if (ferror(stdin))
		die("could not read the trail");

	for (i = 0; i < client_count; i++)
	{
		for (n = 1; n <= issued[i]; n++)
		{
			if (calls[i][n].code != 0 && !calls[i][n].recorded)
			{
				if (find_note(calls[i][n].code)->unassured)
					unassured++;
				else
					lost++;
				if (lost + unassured <= 20)
					fprintf(stderr, "lost: %s-%d-%" PRId64 " (%c)\n", run,
							i + 1, n, calls[i][n].code);
			}
		}
	}
	printf("rows %" PRId64 "\nacknowledged %" PRId64 "\nrecorded %" PRId64
		   "\nlost %" PRId64 "\nunassured %" PRId64 "\ndoubled %" PRId64 "\nunknown %" PRId64
		   "\nwrong %" PRId64 "\nothers %" PRId64 "\n", rows, acknowledged,
		   recorded, lost, unassured, doubled, unknown, wrong, others);
	return 0;
}

/* Each call by its number. */
static Call *
read_notes(int number, int64_t *issued, int64_t *acknowledged)
{
	FILE	   *file = open_file("notes", number, "r");
	Call	   *calls = NULL;
	int64_t		size = 0;
	int64_t		n;
	char		code;

	*issued = -1;
	while (fscanf(file, "%c %" SCNd64 "\n", &code, &n) == 2)
	{
		if (n < 0)
			die("notes are damaged");
		if (n >= size)
		{
			int64_t		larger = n * 2 + 1024;

			calls = realloc(calls, larger * sizeof(Call));
			if (calls == NULL)
				die("out of memory");
			memset(calls + size, 0, (larger - size) * sizeof(Call));
			size = larger;
		}
		if (code == END)
			*issued = n;
		else if (code == BATCH)
			calls[n].batch = true;
		else if (find_note(code) == NULL || calls[n].code != 0)
			die("notes are damaged");
		else
		{
			calls[n].code = code;
			(*acknowledged)++;
		}
	}
	fclose(file);
	if (*issued < 0)
		die("notes are not whole");
	return calls;
}

static const Note *
find_note(char code)
{
	const Note *note;

	for (note = notes; note->code != 0; note++)
	{
		if (note->code == code)
			return note;
	}
	return NULL;
}

static void
die(const char *what)
{
	fprintf(stderr, "load: %s\n", what);
	exit(1);
}
