-- kms_audit_accept(): refused if there is nothing to accept or the reason is
-- malformed; the row that it writes
SET TIME ZONE 'UTC';
SELECT count(kms_try_decrypt('none', 'AAAA')) FROM generate_series(1, 3);
SELECT kms_flush_events();
SELECT intact, finding, anchored FROM kms_audit_verify();
SELECT kms_audit_accept(NULL);
SELECT kms_audit_accept('');
SELECT kms_audit_accept(repeat('x', 256));
SELECT kms_audit_accept(E'a\nb');
SELECT kms_audit_accept('nothing is wrong');
BEGIN READ ONLY;
SELECT kms_audit_accept('read only');
ROLLBACK;
CREATE ROLE regress_kms_nobody;
SET ROLE regress_kms_nobody;
SELECT kms_audit_accept('may not');
RESET ROLE;
DROP ROLE regress_kms_nobody;

-- delete a row
DELETE FROM kms.event WHERE ticket = (SELECT max(ticket) FROM kms.event);
SELECT intact, finding, anchored FROM kms_audit_verify();
SELECT severity, regexp_replace(finding, '\d+', 'N', 'g') AS finding, hint
FROM kms_check() WHERE finding LIKE 'the trail was changed%';
SELECT done FROM kms_maintain() WHERE task = 'delete old events';

-- acceptance in a transaction that is rolled back takes effect all the same
BEGIN;
SELECT kms_audit_accept('a regression test') > 0 AS accepted;
ROLLBACK;
SELECT operation, status, reason, context, session_role = session_user AS by_us,
	ticket = (SELECT signed_ticket FROM kms_audit_verify()) AS signed
FROM kms.event ORDER BY ticket DESC LIMIT 1;
SELECT kind, c.ticket = e.ticket AS of_the_gap, previous < c.ticket AS previous
FROM kms.event_checkpoint AS c, (SELECT max(ticket) AS ticket FROM kms.event) AS e
ORDER BY c.ticket DESC LIMIT 1;
SELECT intact, finding, anchored FROM kms_audit_verify();
SELECT kms_audit_accept('once is enough');
