-- Who may do what. Roles belong to the whole server and are shared by its databases, so they may be there
-- already, and another database may be making them at this moment.
--   fraud_owner     owns every object; nobody logs in as it
--   fraud_migrator  a member of it: migrations, replays, everything that removes rows
--   fraud_writer    the detector: lands batches, and can neither remove what has landed nor change the schema
--   fraud_reader    dashboards: views only, no write, no long query, few connections
-- They get their passwords elsewhere; without one nobody can log in.
DO $roles$
DECLARE
    todo text[] := '{}';
    step text;
BEGIN
    IF to_regrole('fraud_owner') IS NULL THEN
        todo := todo || 'CREATE ROLE fraud_owner NOLOGIN'::text;
    END IF;
    IF to_regrole('fraud_migrator') IS NULL THEN
        todo := todo || 'CREATE ROLE fraud_migrator LOGIN IN ROLE fraud_owner'::text;
    END IF;
    IF to_regrole('fraud_writer') IS NULL THEN
        todo := todo || 'CREATE ROLE fraud_writer LOGIN'::text;
    END IF;
    IF to_regrole('fraud_reader') IS NULL THEN
        todo := todo || ('CREATE ROLE fraud_reader LOGIN CONNECTION LIMIT 5; '
            'ALTER ROLE fraud_reader SET default_transaction_read_only = on; '
            'ALTER ROLE fraud_reader SET statement_timeout = ''10s''; '
            'ALTER ROLE fraud_reader SET timezone = ''UTC''')::text;
    END IF;
    -- Whoever migrates must be able to hand over what it made, and to change it later.
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
       AND (to_regrole('fraud_owner') IS NULL OR NOT pg_has_role(to_regrole('fraud_owner'), 'USAGE')) THEN
        todo := todo || format('GRANT fraud_owner TO %I', current_user);
    END IF;
    FOREACH step IN ARRAY todo LOOP
        BEGIN
            EXECUTE step;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN NULL;  -- another database was faster
            WHEN insufficient_privilege THEN
                RAISE EXCEPTION 'user % may not do this: %', current_user, step
                    USING ERRCODE = 'insufficient_privilege',
                          HINT = 'let a superuser run this once, then migrate again: '
                                 || array_to_string(todo, '; ') || ';';
        END;
    END LOOP;
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO fraud_owner', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO fraud_writer, fraud_reader', current_database());
END
$roles$;

ALTER SCHEMA fraudctl_meta OWNER TO fraud_owner;
ALTER TABLE fraudctl_meta.schema_migrations OWNER TO fraud_owner;
ALTER SCHEMA fraud OWNER TO fraud_owner;
ALTER TABLE fraud.fraud_metrics OWNER TO fraud_owner;
ALTER TABLE fraud.fraud_staging_metrics OWNER TO fraud_owner;
ALTER TABLE fraud.pipeline_lease OWNER TO fraud_owner;
ALTER TABLE fraud.batch_ledger OWNER TO fraud_owner;
ALTER TABLE fraud.dead_letters OWNER TO fraud_owner;
ALTER TABLE fraud.dead_letter_requeues OWNER TO fraud_owner;

GRANT USAGE ON SCHEMA fraud TO fraud_writer, fraud_reader;

-- What landing one batch needs. A replay's schema gets the same grants, copied from here.
GRANT SELECT, INSERT, UPDATE (count, flagged_count, amount_minor, flagged_amount_minor, updated_at)
    ON fraud.fraud_metrics TO fraud_writer;
GRANT SELECT, INSERT, DELETE ON fraud.fraud_staging_metrics TO fraud_writer;
GRANT SELECT, UPDATE (epoch, holder, process, acquired_at, heartbeat_at, lease_seconds, released)
    ON fraud.pipeline_lease TO fraud_writer;
GRANT SELECT, INSERT, UPDATE (replays) ON fraud.batch_ledger TO fraud_writer;
GRANT SELECT (topic, partition, "offset"), INSERT ON fraud.dead_letters TO fraud_writer;
