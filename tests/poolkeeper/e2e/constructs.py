"""Statements of an application that writes and then reads: each construct with the result that PostgreSQL gives.

`SQL --> value` must give that value, `SQL !!> state` must fail with that SQLSTATE, `:k` is the session's own key. Every
one of them passes on a plain PostgreSQL; the tests state the result at each endpoint.
"""

from __future__ import annotations

SETUP = """
DROP SCHEMA IF EXISTS hammer CASCADE;
CREATE SCHEMA hammer;
CREATE TABLE hammer.t (id bigint PRIMARY KEY, v text);
CREATE TABLE hammer.audit (id bigint, v text);
CREATE TABLE hammer.emptied (v int);
CREATE UNLOGGED TABLE hammer.unlogged (id bigint, v text);
CREATE SEQUENCE hammer.ticks;
CREATE MATERIALIZED VIEW hammer.stored AS SELECT max(id) AS id FROM hammer.t;
CREATE FUNCTION hammer.put(k bigint) RETURNS text LANGUAGE sql
    AS $$ INSERT INTO hammer.t VALUES (k, 'a') RETURNING v $$;
CREATE FUNCTION hammer.get(k bigint) RETURNS text STABLE LANGUAGE sql AS $$ SELECT v FROM hammer.t WHERE id = k $$;
CREATE FUNCTION hammer.put_disguised(k bigint) RETURNS text STABLE LANGUAGE plpgsql
    AS $$ BEGIN RETURN hammer.put(k); END $$;
CREATE VIEW hammer.ticking AS SELECT nextval('hammer.ticks') AS n;
CREATE OPERATOR hammer.<<! (FUNCTION = hammer.put, RIGHTARG = bigint);
CREATE FUNCTION hammer.note() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO hammer.audit VALUES (NEW.id, NEW.v); RETURN NEW; END $$;
CREATE TRIGGER note AFTER INSERT ON hammer.t FOR EACH ROW EXECUTE FUNCTION hammer.note();
CREATE PROCEDURE hammer.put_and_commit(k bigint) LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO hammer.t VALUES (k, 'a'); COMMIT; END $$;
CREATE PROCEDURE hammer.put_and_fail(k bigint) LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO hammer.t VALUES (k, 'a'); COMMIT; RAISE 'after the commit'; END $$;
INSERT INTO hammer.t VALUES (1, 'seed'), (2, 'seed');
INSERT INTO hammer.emptied VALUES (1), (2);
"""

PUT = "INSERT INTO hammer.t VALUES (:k, 'a')"
UPD = "UPDATE hammer.t SET v = 'b' WHERE id = :k"
GET = "SELECT v FROM hammer.t WHERE id = :k"
HAS, HAS_B, NONE = GET + " --> a", GET + " --> b", GET + " --> nothing"

SCRIPTS: dict[str, list[str]] = {
    # single statements
    "insert": [PUT, HAS],
    "read, write, read": [NONE, PUT, HAS, UPD, HAS_B],
    "insert, update, delete": [PUT, UPD, HAS_B, "DELETE FROM hammer.t WHERE id = :k", NONE],
    "insert returning": [PUT + " RETURNING v --> a", HAS],
    "upsert": [PUT, PUT + " ON CONFLICT (id) DO UPDATE SET v = 'b'", HAS_B],
    "merge": [

        "MERGE INTO hammer.t USING (VALUES (:k)) AS n(id) ON t.id = n.id "
        "WHEN NOT MATCHED THEN INSERT VALUES (n.id, 'a') RETURNING v --> a",
        HAS,
    ],
    "write in a CTE": [f"WITH w AS ({PUT} RETURNING v) SELECT v FROM w --> a", HAS],
    "write in a CTE without returning": [f"WITH w AS ({PUT}) SELECT 1", HAS],
    "write in explain analyze": ["EXPLAIN ANALYZE " + PUT, HAS],
    "write in explain (analyze, timing off)": ["EXPLAIN (ANALYZE, TIMING OFF) " + PUT, HAS],
    "write in explain analyze of a CTE": [f"EXPLAIN ANALYZE WITH w AS ({PUT} RETURNING v) SELECT v FROM w", HAS],
    "trigger writes elsewhere": [PUT, "SELECT v FROM hammer.audit WHERE id = :k --> a"],
    "comment before a write and a read": ["/* app */ " + PUT, "/* app */ " + HAS, "-- app\n " + HAS],
    "truncate": ["TRUNCATE hammer.emptied", "SELECT count(*) FROM hammer.emptied --> 0"],
    "failed read, then write": ["SELECT 1/0 !!> 22012", PUT, HAS],
    "failed write, then write": [PUT, PUT + " !!> 23505", UPD, HAS_B],
    "syntax error, then write": ["SELEC 1 !!> 42601", PUT, HAS],
    "unlogged table": [
        "INSERT INTO hammer.unlogged VALUES (:k, 'a')", "SELECT v FROM hammer.unlogged WHERE id = :k --> a",
    ],
    "read an unlogged table": ["SELECT count(*) >= 0 FROM hammer.unlogged --> True"],
    "vacuum, analyze": [PUT, "VACUUM ANALYZE hammer.t", HAS],
    # transactions
    "transaction": ["BEGIN", NONE, PUT, HAS, "COMMIT", HAS],
    "rollback": ["BEGIN", NONE, PUT, HAS, "ROLLBACK", NONE],
    "commit and chain": ["BEGIN", PUT, "COMMIT AND CHAIN", HAS, UPD, "ROLLBACK", HAS],
    "start transaction read write": ["START TRANSACTION READ WRITE", NONE, PUT, HAS, "END", HAS],
    "begin read only": ["BEGIN READ ONLY", NONE, PUT + " !!> 25006", "ROLLBACK", PUT, HAS],
    "set transaction read only": ["BEGIN", "SET TRANSACTION READ ONLY", NONE, "COMMIT", PUT, HAS],
    "read only as default": ["SET default_transaction_read_only = on", NONE, PUT + " !!> 25006", "RESET ALL", PUT, HAS],
    "repeatable read": ["BEGIN ISOLATION LEVEL REPEATABLE READ", NONE, PUT, HAS, "COMMIT", HAS],
    "serializable": ["BEGIN ISOLATION LEVEL SERIALIZABLE", NONE, PUT, HAS, "COMMIT", HAS],
    "set transaction serializable": ["BEGIN", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", NONE, PUT, "COMMIT", HAS],
    "serializable as default": ["SET default_transaction_isolation = serializable", NONE, "BEGIN", PUT, "COMMIT", HAS],
    "failed read aborts the transaction": ["BEGIN", "SELECT 1/0 !!> 22012", PUT + " !!> 25P02", "ROLLBACK", NONE],
    "failed read, then commit": ["BEGIN", "SELECT 1/0 !!> 22012", "COMMIT", PUT, HAS],
    "failed read after a write": ["BEGIN", PUT, "SELECT 1/0 !!> 22012", PUT + " !!> 25P02", "COMMIT", NONE],
    "failed write aborts the transaction": ["BEGIN", PUT, PUT + " !!> 23505", GET + " !!> 25P02", "ROLLBACK", NONE],
    "select for update": ["BEGIN", "SELECT v FROM hammer.t WHERE id = 1 FOR UPDATE --> seed", PUT, HAS, "COMMIT", HAS],
    "lock table": ["BEGIN", "LOCK TABLE hammer.emptied IN ACCESS SHARE MODE", PUT, HAS, "COMMIT", HAS],
    "lock a new table": ["CREATE TABLE hammer.d:k ()", "BEGIN", "LOCK TABLE hammer.d:k IN ACCESS SHARE MODE", "COMMIT"],
    # savepoints
    "savepoint": ["BEGIN", PUT, "SAVEPOINT s", UPD, HAS_B, "ROLLBACK TO s", HAS, "RELEASE s", "COMMIT", HAS],
    "savepoint first": ["BEGIN", "SAVEPOINT s", PUT, "ROLLBACK TO s", NONE, PUT, HAS, "COMMIT", HAS],
    "savepoint saves a failed write": [
        "BEGIN", PUT, "SAVEPOINT s", PUT + " !!> 23505", "ROLLBACK TO s", HAS, "COMMIT", HAS,
    ],
    "savepoint saves a failed read": [
        "BEGIN", "SAVEPOINT s", "SELECT 1/0 !!> 22012", "ROLLBACK TO s", PUT, "COMMIT", HAS,
    ],
    "savepoint after a failed read": ["BEGIN", "SELECT 1/0 !!> 22012", "SAVEPOINT s !!> 25P02", "ROLLBACK", PUT, HAS],
    "savepoint after a failed write": ["BEGIN", PUT, PUT + " !!> 23505", "SAVEPOINT s !!> 25P02", "ROLLBACK", NONE],
    "release after a failed read": [
        "BEGIN", "SAVEPOINT s", "SELECT 1/0 !!> 22012", "RELEASE s !!> 25P02", "ROLLBACK TO s", PUT, "COMMIT", HAS,
    ],
    # several statements in one message
    "multi: insert; select": [PUT + "; SELECT 1", HAS],
    "multi: select; insert": ["SELECT 1; " + PUT, HAS],
    "multi: show; insert": ["SHOW timezone; " + PUT, HAS],
    "multi: begin; insert; commit": [f"BEGIN; {PUT}; COMMIT", HAS],
    "multi: begin; insert -- commit": ["BEGIN; " + PUT, HAS, "COMMIT", HAS],
    "multi: begin; select -- insert, commit": [
        "BEGIN; SELECT 1", PUT, HAS, "SAVEPOINT s", "ROLLBACK TO s", "COMMIT", HAS,
    ],
    "multi: commit; insert": ["BEGIN", "COMMIT; " + PUT, HAS],
    "multi: insert; commit; failure": [f"BEGIN; {PUT}; COMMIT; SELECT 1/0 !!> 22012", HAS],
    # SQL-level prepared statements
    "PREPARE a write": ["PREPARE p AS " + PUT, "EXECUTE p", HAS],
    "PREPARE a read, write, EXECUTE": [f"PREPARE p AS {GET}", "EXECUTE p --> nothing", PUT, "EXECUTE p --> a"],
    "PREPARE in a transaction": [
        "BEGIN", f"PREPARE p AS {GET}", "EXECUTE p --> nothing", PUT, "EXECUTE p --> a", "COMMIT",
    ],
    "DEALLOCATE": [f"PREPARE p AS {GET}", "DEALLOCATE p", "EXECUTE p !!> 26000", PUT, HAS],
    "DEALLOCATE ALL, DISCARD ALL": [f"PREPARE p AS {GET}", "DEALLOCATE ALL", PUT, "DISCARD ALL", HAS],
    # temporary tables
    "temp table": [
        "CREATE TEMP TABLE x AS SELECT 'a' AS v", "SELECT v FROM x --> a", "DROP TABLE x", "SELECT 1 FROM x !!> 42P01",
    ],
    "temp table hides a table": [
        "SET search_path = hammer", "CREATE TEMP TABLE t AS SELECT 'tmp' AS v", "SELECT v FROM t --> tmp",
        "DROP TABLE pg_temp.t", "SELECT v FROM t WHERE id = 1 --> seed",
    ],
    "temp table on commit drop": [
        "BEGIN", "CREATE TEMP TABLE x ON COMMIT DROP AS SELECT 1 AS v", "SELECT v FROM x --> 1", "COMMIT",
        "SELECT 1 FROM x !!> 42P01",
    ],
    "temp table on commit delete rows": [
        "CREATE TEMP TABLE x (v int) ON COMMIT DELETE ROWS", "BEGIN", "INSERT INTO x VALUES (1)",
        "SELECT v FROM x --> 1", "COMMIT", "SELECT v FROM x --> nothing",
    ],
    "select into temp": ["SELECT 'a' AS v INTO TEMP x", "SELECT v FROM x --> a"],
    # functions and procedures
    "function: select f()": ["SELECT hammer.put(:k) --> a", HAS],
    "function: select * from f()": ["SELECT * FROM hammer.put(:k) --> a", HAS],
    "function: where": ["SELECT 1 WHERE hammer.put(:k) = 'a' --> 1", HAS],
    "function: in a CTE": ["WITH w AS (SELECT hammer.put(:k) AS v) SELECT v FROM w --> a", HAS],
    "function: scalar subquery": ["SELECT (SELECT hammer.put(:k)) --> a", HAS],
    "function: case, coalesce": ["SELECT CASE WHEN true THEN coalesce(NULL, hammer.put(:k)) END --> a", HAS],
    "function: values": ["VALUES (hammer.put(:k)) --> a", HAS],
    "function: lateral": ["SELECT f.v FROM (VALUES (:k)) AS n(k), LATERAL hammer.put(n.k) AS f(v) --> a", HAS],
    "function: array, row": ["SELECT ARRAY[hammer.put(:k)]", HAS],
    "function: order by": ["SELECT 1 ORDER BY hammer.put(:k) --> 1", HAS],
    "function: limit": ["SELECT 1 LIMIT length(hammer.put(:k)) --> 1", HAS],
    "function: join condition": ["SELECT 1 FROM (SELECT 1) a JOIN (SELECT 1) b ON hammer.put(:k) = 'a' --> 1", HAS],
    "function: union": ["SELECT hammer.put(:k) UNION ALL SELECT 'z' --> a", HAS],
    "function: named argument": ["SELECT hammer.put(k => :k) --> a", HAS],
    "function: by search_path": ["SET search_path = hammer", "SELECT put(:k) --> a", HAS],
    "function: explain analyze": ["EXPLAIN ANALYZE SELECT hammer.put(:k)", HAS],
    "function: aggregate filter": ["SELECT count(*) FILTER (WHERE hammer.put(:k) = 'a') --> 1", HAS],
    "function: new": [
        "CREATE FUNCTION hammer.f:k() RETURNS void LANGUAGE sql AS $$ INSERT INTO hammer.t VALUES (:k, 'a') $$",
        "SELECT hammer.f:k()", HAS,
    ],
    "function: stable reader": [PUT, "SELECT hammer.get(:k) --> a"],
    "function: declared stable, but writes": ["SELECT hammer.put_disguised(:k) --> a", HAS],
    "operator on a writing function": ["SELECT OPERATOR(hammer.<<!) :k::bigint --> a", HAS],
    "view on a writing function": ["SELECT n > 0 FROM hammer.ticking --> True"],
    "pg_current_xact_id()": ["SELECT pg_current_xact_id() IS NOT NULL --> True", PUT, HAS],
    "txid_current()": ["SELECT txid_current() IS NOT NULL --> True", PUT, HAS],
    "DO": ["DO $$ BEGIN INSERT INTO hammer.t VALUES (:k, 'a'); END $$", HAS],
    "DO with commit": ["DO $$ BEGIN INSERT INTO hammer.t VALUES (:k, 'a'); COMMIT; END $$", HAS],
    "CALL with commit": ["CALL hammer.put_and_commit(:k)", HAS],
    "CALL that fails after its commit": ["CALL hammer.put_and_fail(:k) !!> P0001", HAS],
    "DO that fails after its commit": ["DO $$ BEGIN CALL hammer.put_and_fail(:k); END $$ !!> P0001", HAS],
    "pg_sleep": ["SELECT pg_sleep(0.01)", PUT, HAS],
    # definitions
    "table: create, alter, drop": [
        "CREATE TABLE hammer.d:k (v text)", "INSERT INTO hammer.d:k VALUES ('a')", "SELECT v FROM hammer.d:k --> a",
        "ALTER TABLE hammer.d:k ADD w int DEFAULT 7", "SELECT w FROM hammer.d:k --> 7",
        "CREATE INDEX ON hammer.d:k (v)",
        "SELECT count(*) FROM information_schema.tables WHERE table_name = 'd:k' --> 1", "DROP TABLE hammer.d:k",
        "SELECT to_regclass('hammer.d:k') --> None",
    ],
    "view: create, replace": [
        "CREATE VIEW hammer.d:k AS SELECT 1 AS v", "SELECT v FROM hammer.d:k --> 1",
        "CREATE OR REPLACE VIEW hammer.d:k AS SELECT 2 AS v", "SELECT v FROM hammer.d:k --> 2",
    ],
    "materialized view: refresh": [
        PUT, "REFRESH MATERIALIZED VIEW hammer.stored", "SELECT id >= :k FROM hammer.stored --> True",
    ],
    "schema: create": [
        "CREATE SCHEMA s:k", "CREATE TABLE s:k.x AS SELECT 'a' AS v", "SET search_path = s:k", "SELECT v FROM x --> a",
        "DROP SCHEMA s:k CASCADE",
    ],
    "type: create": ["CREATE TYPE hammer.e:k AS ENUM ('a')", "SELECT 'a'::hammer.e:k::text --> a"],
    "sequence": [
        "CREATE SEQUENCE hammer.q:k", "SELECT nextval('hammer.q:k') --> 1", "SELECT currval('hammer.q:k') --> 1",
        "SELECT lastval() --> 1", "SELECT setval('hammer.q:k', 41) --> 41", "SELECT nextval('hammer.q:k') --> 42",
        "SELECT last_value FROM hammer.q:k --> 42",
    ],
    "nextval, then currval": [
        "SELECT nextval('hammer.ticks') > 0 --> True", "SELECT currval('hammer.ticks') = lastval() --> True",
    ],
    # session state
    "SET, SHOW, RESET": [
        "SET application_name = 'n:k'", "SHOW application_name --> n:k",
        "SELECT current_setting('application_name') --> n:k", "RESET application_name", PUT, HAS,
    ],
    "SET timezone": ["SET timezone = 'Asia/Tokyo'", "SELECT extract(timezone_hour FROM now()) --> 9", PUT, HAS],
    "SET LOCAL": [
        "BEGIN", "SET LOCAL search_path = hammer", "SELECT v FROM t WHERE id = 1 --> seed",
        "INSERT INTO t VALUES (:k, 'a')", "SELECT v FROM t WHERE id = :k --> a", "COMMIT", "SELECT 1 FROM t !!> 42P01",
        HAS,
    ],
    "set_config": [
        "SELECT set_config('search_path', 'hammer', false) --> hammer", "SELECT v FROM t WHERE id = 1 --> seed", PUT,
        HAS,
    ],
    "set_config, local": [
        "BEGIN", "SELECT set_config('search_path', 'hammer', true)", "SELECT v FROM t WHERE id = 1 --> seed", "COMMIT",
        "SELECT 1 FROM t !!> 42P01",
    ],
    "SET inside a rolled back transaction": [
        "BEGIN", "SET application_name = 'n:k'", "ROLLBACK",
        "SELECT current_setting('application_name') = 'n:k' --> False", PUT, HAS,
    ],
    "advisory lock": [
        "SELECT pg_advisory_lock(7, :k)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = :k --> 1",
        "SELECT pg_advisory_unlock(7, :k) --> True",
    ],
    # cursors, large objects
    "cursor": ["BEGIN", PUT, f"DECLARE c CURSOR FOR {GET}", "FETCH c --> a", "CLOSE c", "COMMIT", HAS],
    "cursor before any write": [
        "BEGIN", "DECLARE c CURSOR FOR SELECT 'x' FROM hammer.t", "FETCH c --> x", "MOVE c", "COMMIT", PUT, HAS,
    ],
    "cursor with hold": [
        PUT, "BEGIN", f"DECLARE c CURSOR WITH HOLD FOR {GET}", "COMMIT", "FETCH c --> a", "CLOSE c", HAS,
    ],
    "cursor read only": ["BEGIN READ ONLY", f"DECLARE c CURSOR FOR {GET}", "FETCH c --> nothing", "COMMIT", PUT, HAS],
    "large object": [
        "SELECT lo_from_bytea(:k, 'abc') --> :k", "SELECT convert_from(lo_get(:k), 'UTF8') --> abc",
        "SELECT lo_unlink(:k) --> 1",
    ],
}  # fmt: skip
