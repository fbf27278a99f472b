-- The headers of a JWE, and each text that is refused: with the name of the part, and never with its content.
\i test/include/outcome.sql

\set ECHO none
-- Return base64url (RFC 7515, 2).
CREATE FUNCTION pg_temp.base64url(bytes bytea) RETURNS text LANGUAGE sql AS $$
	SELECT translate(encode(bytes, 'base64'), E'+/=\n', '-_')
$$;
-- Return the compact form with this protected header, and the flattened form.
CREATE FUNCTION pg_temp.compact(header bytea) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.base64url(header) || '.a2V5.aXY.Y29udGVudA.dGFn'
$$;
CREATE FUNCTION pg_temp.compact(header text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.compact(convert_to(header, 'UTF8'))
$$;
CREATE FUNCTION pg_temp.flattened(header text, members text) RETURNS text LANGUAGE sql AS $$
	SELECT format('{"protected":"%s","iv":"aXY","ciphertext":"","tag":"dGFn"%s}',
		pg_temp.base64url(convert_to(header, 'UTF8')), ',' || nullif(members, ''))
$$;
-- Return the result or the error of kms_jwe_header(), with its detail.
CREATE FUNCTION pg_temp.header(jwe text) RETURNS text LANGUAGE sql AS $$
	SELECT pg_temp.outcome(format('SELECT kms_jwe_header(%L)', jwe), 'detail')
$$;
\set ECHO all

-- the examples of RFC 7516 (A.1, A.4, A.5) and RFC 7517 (C, header alone): algorithms and parts are not judged
SELECT kms_jwe_header('eyJhbGciOiJSU0EtT0FFUCIsImVuYyI6IkEyNTZHQ00ifQ.OKOawDo13gRp2ojaHV7LFpZcgV7T6DVZKTyKOMTYUmKoTCVJRgckCL9kiMT03JGeipsEdY3mx_etLbbWSrFr05kLzcSr4qKAq7YN7e9jwQRb23nfa6c9d-StnImGyFDbSv04uVuxIp5Zms1gNxKKK2Da14B8S4rzVRltdYwam_lDp5XnZAYpQdb76FdIKLaVmqgfwX7XWRxv2322i-vDxRfqNzo_tETKzpVLzfiwQyeyPGLBIO56YJ7eObdv0je81860ppamavo35UgoRdbYaBcoh9QcfylQr66oc6vFWXRcZ_ZT2LawVCWTIy3brGPi6UklfCpIMfIjf7iGdXKHzg.48V1_ALb6US04U3b.5eym8TW_c8SuK0ltJ3rpYIzOeDQz7TALvtu6UG9oMo4vpzs9tX_EFShS8iB7j6jiSdiwkIr3ajwQzaBtQD_A.XFBoMYUZodetZdvTiFvSkQ');
SELECT pg_temp.header('{"protected":"eyJlbmMiOiJBMTI4Q0JDLUhTMjU2In0","unprotected":{"jku":"https://server.example.com/keys.jwks"},"recipients":[{"header":{"alg":"RSA1_5","kid":"2011-04-29"},"encrypted_key":"UGhIOguC7IuEvf_NPVaXsGMoLOmwvc1GyqlIKOK1nN94nHPoltGRhWhw7Zx0-kFm1NJn8LE9XShH59_i8J0PH5ZZyNfGy2xGdULU7sHNF6Gp2vPLgNZ__deLKxGHZ7PcHALUzoOegEI-8E66jX2E4zyJKx-YxzZIItRzC5hlRirb6Y5Cl_p-ko3YvkkysZIFNPccxRU7qve1WYPxqbb2Yw8kZqa2rMWI5ng8OtvzlV7elprCbuPhcCdZ6XDP0_F8rkXds2vE4X-ncOIM8hAYHHi29NX0mcKiRaD0-D-ljQTP-cFPgwCp6X-nZZd9OHBv-B3oWh2TbqmScqXMR4gp_A"},{"header":{"alg":"A128KW","kid":"7"},"encrypted_key":"6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ"}],"iv":"AxY8DCtDaGlsbGljb3RoZQ","ciphertext":"KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY","tag":"Mz-VPPyU4RlcuYv1IwIvzw"}');
SELECT kms_jwe_header('{"protected":"eyJlbmMiOiJBMTI4Q0JDLUhTMjU2In0","unprotected":{"jku":"https://server.example.com/keys.jwks"},"header":{"alg":"A128KW","kid":"7"},"encrypted_key":"6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ","iv":"AxY8DCtDaGlsbGljb3RoZQ","ciphertext":"KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY","tag":"Mz-VPPyU4RlcuYv1IwIvzw"}');
SELECT kms_jwe_header(pg_temp.compact('{"alg":"PBES2-HS256+A128KW","p2s":"2WCTcJZ1Rvd_CJuJripQ1w","p2c":4096,"enc":"A128CBC-HS256","cty":"jwk+json"}'));

-- the general form, white space, NULL, and no protected header
SELECT kms_jwe_header(E' \n' || pg_temp.flattened('{"a":1}', '"recipients":[{"header":{}}]') || E'\t ');
SELECT kms_jwe_header(E' \t\n\x0b\f\r' || jwe || E' \t\n\x0b\f\r') = kms_jwe_header(jwe) AS same
FROM (VALUES (pg_temp.compact('{"a":1}')), (pg_temp.flattened('{"a":1}', ''))) AS w (jwe);
SELECT kms_jwe_header(NULL) IS NULL AS of_null;
SELECT kms_jwe_header('{"ciphertext":""}');

-- every type and every escape
SELECT kms_jwe_header(pg_temp.compact('{"\u006b\u00e9\uD83D\uDE00":"\"\\\/\b\f\n\r\t\u0041é€😀","n":[0,-1.50,2E3],"l":[true,false,null],"o":{"a":[{"b":[{}]}]},"":""}'));
SELECT number, length(kms_jwe_header(pg_temp.compact('{"n":' || number || '}')) #>> '{protected,n}') AS length
FROM (VALUES ('1e30'), ('-1E+30'), ('1e-30'), ('0e00000')) AS n (number);
SELECT length(kms_jwe_header(pg_temp.compact('{"n":' || repeat('9', 1000) || '}')) #>> '{protected,n}');

-- names in one object differ after escapes are resolved
SELECT pg_temp.header(pg_temp.compact('{"alg":"secret","alg":"secret"}'));
SELECT pg_temp.header(pg_temp.compact('{"alg":"secret","\u0061lg":"secret"}'));
SELECT pg_temp.header(pg_temp.compact('{"x":[{"é":"secret","\u00E9":"secret"}]}'));
SELECT pg_temp.header(pg_temp.flattened('{}', '"iv":"secret"'));
SELECT pg_temp.header(pg_temp.flattened('{"secret":1}', '"unprotected":{"secre\u0074":1}'));
SELECT pg_temp.header(pg_temp.flattened('{}', '"header":{"secret":1},"unprotected":{"secret":1}'));

-- nesting
SELECT kms_jwe_header(pg_temp.compact('{"a":[[[[[[[]]]]]]]}')) #> '{protected,a}' AS eight_levels;
SELECT pg_temp.header(pg_temp.compact('{"a":[[[[[[[["secret"]]]]]]]]}'));
SELECT pg_temp.header(pg_temp.compact('{"a":' || repeat('[', 700000)));
SELECT pg_temp.header('{"a":' || repeat('{"a":', 300000));
SELECT pg_temp.header(pg_temp.flattened('{}', '"a":[[[[[[[[]]]]]]]]'));

-- text that is no JSON, or no text
SELECT what, pg_temp.header(pg_temp.compact(header)) AS outcome
FROM (VALUES ('nothing', ''::bytea), ('no JSON', 'alg=secret'), ('a literal', 'secret'), ('cut off', '{"alg":"secret'),
	('more after it', '{"alg":"secret"} secret'), ('single quotes', '{''alg'':''secret''}'),
	('a control character', E'{"alg":"secret\\012"}'), ('an unknown escape', '{"alg":"\\secret"}'),
	('an array', '["secret"]'), ('a string', '"secret"'),
	('LATIN1', '{"alg":"secret\351"}'), ('an overlong form', '{"alg":"secret\300\257"}'),
	('a surrogate', '{"alg":"secret\355\240\200"}'), ('cut off in a character', '{"alg":"secret\303'),
	('half a pair', '{"alg":"secret\\ud83d"}'), ('the other half', '{"\\ude00secret":1}'),
	('a NUL', '{"alg":"secret\000"}'), ('an escaped NUL', '{"alg":"secret\\u0000"}'),
	('a large number', '{"secret":1e31}'), ('a small number', '{"secret":1e-31}'),
	('a number that no type holds', '{"secret":1e999999999999999999999}'),
	('a fraction that no type holds', '{"secret":1e-99999999999999999999}'),
	('a long number', convert_to('{"secret":' || repeat('1', 1001) || '}', 'UTF8'))) AS h (what, header);

-- the form
SELECT jwe, pg_temp.header(jwe) AS outcome
FROM (VALUES (''), (E' \n'), ('secret'), ('secret.secret'), ('secret.secret.secret'), ('s.e.c.r.e.t'),
	('{"payload":"secret","signatures":[]}'), ('{"ciphertext":"secret"'), ('{}x'), ('e30=.a.b.c.d'), ('e30 .a.b.c.d'),
	('e31.a.b.c.d'), ('e3+.a.b.c.d'), ('é.a.b.c.d'), ('....'), ('{"protected":1}'), ('{"protected":null}'),
	('{"iv":["secret"]}'), ('{"aad":{}}'), ('{"encrypted_key":1}'), ('{"header":"secret"}'),
	('{"unprotected":null}'), ('{"recipients":{}}'), ('{"recipients":["secret"]}'), ('{"recipients":[]}'),
	('{"recipients":[{},{}]}'), ('{"recipients":[{}],"header":{}}'), ('{"recipients":[{}],"encrypted_key":"secret"}'),
	('{"recipients":[{"header":[]}]}'), ('{"recipients":[{"encrypted_key":null}]}')) AS f (jwe);

-- parts that are not needed for the headers are not decoded
SELECT kms_jwe_header('e30.=.%.?.*');

-- 2 MB are read in reasonable time, and more is refused before it is fetched
SELECT jsonb_array_length(kms_jwe_header('{"ciphertext":"","header":{"a":[' || repeat('1,', 1048540) || '1]}}') #> '{header,a}');
SELECT count(*) FROM jsonb_object_keys(kms_jwe_header('{"ciphertext":"","header":{' ||
	(SELECT string_agg(format('"%s":0', 'n' || i), ',') FROM generate_series(100000, 270000) AS i) || '}}') -> 'header');
SELECT octet_length(kms_jwe_header('e30.' || repeat('A', 2097152 - 7) || '...')::text) > 0 AS of_2_mb;
SELECT * FROM pg_temp.failure($$SELECT kms_jwe_header('e30.' || repeat('A', 2097152 - 6) || '...')$$);
SELECT code FROM pg_temp.failure($$SELECT kms_jwe_header(repeat('{', 100000000))$$);

-- an index may use it; nothing is recorded, and neither a key nor a setting is read
CREATE TEMP TABLE message (jwe text);
CREATE UNIQUE INDEX ON message ((kms_jwe_header(jwe) #>> '{protected,jti}'));
INSERT INTO message VALUES (pg_temp.compact('{"jti":"1"}')), (pg_temp.compact('{"jti":"2"}'));
SELECT pg_temp.outcome(format('INSERT INTO message VALUES (%L)', pg_temp.compact('{"jti":"2","x":1}')));
SET application_name = 'jwe_header';
SELECT kms_jwe_header('e30....');
SELECT pg_temp.outcome($$SELECT kms_jwe_header('secret')$$);
SELECT kms_flush_events();
SELECT count(*) FROM kms.event WHERE application_name = 'jwe_header';
