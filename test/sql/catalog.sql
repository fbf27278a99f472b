-- The objects of the extension in the catalogs: rights, properties, and what must not exist.

CREATE TEMP VIEW member AS
SELECT classid, objid, objsubid FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'kms');

-- PUBLIC can call kms_version(), and nothing else
SELECT p.oid::regproc AS public_can_call FROM pg_proc AS p JOIN member ON objid = p.oid
	AND classid = 'pg_proc'::regclass, LATERAL aclexplode(coalesce(proacl, acldefault('f', proowner))) AS a
WHERE a.grantee = 0;
SELECT c.oid::regclass AS public_can_use FROM pg_class AS c JOIN member ON objid = c.oid
	AND classid = 'pg_class'::regclass,
	LATERAL aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) AS a
WHERE a.grantee = 0;
SELECT nspname AS public_can_use FROM pg_namespace AS n JOIN member ON objid = n.oid
	AND classid = 'pg_namespace'::regclass,
	LATERAL aclexplode(coalesce(nspacl, acldefault('n', nspowner))) AS a WHERE a.grantee = 0;

-- only the owner of the extension has rights
SELECT count(*) AS rights_of_others FROM (
	SELECT a.grantee, proowner AS owner FROM pg_proc AS p JOIN member ON objid = p.oid
		AND classid = 'pg_proc'::regclass, aclexplode(proacl) AS a
	UNION ALL SELECT a.grantee, relowner FROM pg_class AS c JOIN member ON objid = c.oid
		AND classid = 'pg_class'::regclass, aclexplode(relacl) AS a
	UNION ALL SELECT a.grantee, nspowner FROM pg_namespace AS n JOIN member ON objid = n.oid
		AND classid = 'pg_namespace'::regclass, aclexplode(nspacl) AS a) AS r
WHERE grantee NOT IN (0, owner) OR owner <> (SELECT extowner FROM pg_extension WHERE extname = 'kms');

-- functions
SELECT p.oid::regproc AS function, l.lanname AS lang,
	CASE provolatile WHEN 'v' THEN 'volatile' ELSE provolatile::text END AS volatility,
	proisstrict AS strict, CASE proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' ELSE 'unsafe' END AS parallel,
	procost AS cost, prorows AS rows
FROM pg_proc AS p JOIN member ON objid = p.oid AND classid = 'pg_proc'::regclass
JOIN pg_language AS l ON l.oid = prolang ORDER BY p.oid::regproc::text COLLATE "C";
\a
SELECT p.oid::regproc AS function, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result
FROM pg_proc AS p JOIN member ON objid = p.oid AND classid = 'pg_proc'::regclass
ORDER BY p.oid::regproc::text COLLATE "C";
\a

-- objects and properties that must not exist
SELECT count(*) FILTER (WHERE prosecdef) AS security_definer,
	count(*) FILTER (WHERE proleakproof) AS leakproof,
	count(*) FILTER (WHERE 'internal'::regtype = ANY (proargtypes) OR prorettype = 'internal'::regtype) AS internal,
	count(*) FILTER (WHERE provariadic <> 0) AS variadic,
	count(*) FILTER (WHERE prokind <> 'f') AS not_functions,
	count(*) - count(DISTINCT proname) AS overloads
FROM pg_proc AS p JOIN member ON objid = p.oid AND classid = 'pg_proc'::regclass;
-- without the row types of tables, which are members from PostgreSQL 17 on
SELECT classid::regclass AS kind, count(*) > 0 AS some FROM member
	WHERE NOT EXISTS (SELECT FROM pg_type AS t WHERE classid = 'pg_type'::regclass AND t.oid = objid
		AND (t.typrelid <> 0 OR t.typelem <> 0))
	GROUP BY 1 ORDER BY 1::text COLLATE "C";
SELECT count(*) AS triggers FROM pg_trigger WHERE NOT tgisinternal
	AND tgrelid IN (SELECT objid FROM member);
SELECT count(*) AS expression_indexes FROM pg_index WHERE indexprs IS NOT NULL
	AND indrelid IN (SELECT objid FROM member);
SELECT count(*) AS policies FROM pg_policy WHERE polrelid IN (SELECT objid FROM member);
SELECT count(*) AS roles FROM pg_roles WHERE rolname LIKE 'kms%';
SELECT extname, extnamespace::regnamespace, extrelocatable FROM pg_extension WHERE extname = 'kms';
SELECT superuser, trusted, relocatable, schema FROM pg_available_extension_versions
WHERE name = 'kms' AND installed;

-- tables, views, sequences; every table has a primary key
SELECT c.oid::regclass AS relation, relkind AS kind, relpersistence AS persistence,
	(SELECT pg_get_constraintdef(o.oid) FROM pg_constraint AS o
		WHERE o.conrelid = c.oid AND contype = 'p') AS primary_key
FROM pg_class AS c JOIN member ON objid = c.oid AND classid = 'pg_class'::regclass
ORDER BY c.oid::regclass::text COLLATE "C";
-- no text column compares by the database's collation
SELECT attrelid::regclass AS relation, attname FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = attrelid AND relkind = 'r' JOIN member ON objid = c.oid
WHERE attnum > 0 AND NOT attisdropped AND attcollation NOT IN (0, '"C"'::regcollation)
ORDER BY 1::text COLLATE "C", attnum;
-- no statistics of key material
SELECT attrelid::regclass AS relation, attname, attstattarget, attstorage FROM pg_attribute
WHERE attrelid IN ('kms.key'::regclass, 'kms.key_secret'::regclass) AND atttypid = 'bytea'::regtype
ORDER BY 1::text COLLATE "C", attnum;

-- the tables that are in a dump
SELECT c::regclass AS dumped, condition = '' AS whole
FROM pg_extension, unnest(extconfig, extcondition) AS d (c, condition)
WHERE extname = 'kms' ORDER BY c::regclass::text COLLATE "C";
SELECT c.oid::regclass AS not_dumped FROM pg_class AS c JOIN member ON objid = c.oid
	AND classid = 'pg_class'::regclass AND relkind IN ('r', 'S')
WHERE c.oid <> ALL ((SELECT extconfig FROM pg_extension WHERE extname = 'kms')::oid[]);

-- every object has a comment
SELECT pg_describe_object(classid, objid, 0) AS without_comment FROM member
WHERE classid IN ('pg_proc'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass)
	AND obj_description(objid, classid::regclass::name) IS NULL
	AND NOT EXISTS (SELECT FROM pg_class WHERE oid = objid AND relkind = 'S');
