/*
 * The stand-in for crypto_mb: the functions that kms calls, on OpenSSL's
 * numbers, so that the code around them can be tested on any processor.  It is
 * slow and not constant-time, and it can be told to fail.  It is never
 * installed.
 */
#ifndef KMS_TEST_STAND_IN_H
#define KMS_TEST_STAND_IN_H

#include <stdbool.h>

#define STAND_IN_BLOCK	512		/* bytes */

typedef enum StandInFault
{
	STAND_IN_WORKS,
	STAND_IN_WRONG_RESULT,		/* of the private operation: right modulo p,
								 * wrong modulo q */
	STAND_IN_FAILED_STATUS,		/* of the private operation */
	STAND_IN_WRONG_CHECK,		/* result of the public operation */
	STAND_IN_FAILED_CHECK		/* status of the public operation */
} StandInFault;

typedef struct StandIn
{
	bool		no_processor;
	StandInFault fault;
	unsigned int faulty_lanes;	/* a bit each */
	int			spared_runs;	/* that work before the fault begins */

	/* what the last calls were given */
	int			private_runs;
	int			public_runs;
	int			bits;
	bool		zeros;			/* a number or block was 0 */
	unsigned char in[8][STAND_IN_BLOCK];	/* of the private operation */
	const void *p[8];
} StandIn;

extern StandIn stand_in;

#endif							/* KMS_TEST_STAND_IN_H */
