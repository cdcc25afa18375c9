-- The second wall behind the code: triggers, grants, row-level security.

CREATE FUNCTION bank.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'mistakes are mended by reversal';
END
$$;

CREATE FUNCTION bank.require_balanced_entries() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    wrong record;
BEGIN
    SELECT f.entry_number, f.commodity, sum(f.amount) AS difference INTO wrong
      FROM fresh f GROUP BY f.community_id, f.entry_number, f.commodity HAVING sum(f.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'entry % is unbalanced in % by %', wrong.entry_number, wrong.commodity, wrong.difference
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER require_balanced_entries AFTER INSERT ON bank.postings
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION bank.require_balanced_entries();

CREATE FUNCTION bank.refuse_second_ending() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'a % that has ended stays as it is', TG_ARGV[0] USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.holds
    FOR EACH ROW WHEN (OLD.state <> 'open') EXECUTE FUNCTION bank.refuse_second_ending('hold');
CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.redemptions
    FOR EACH ROW WHEN (OLD.state IN ('fulfilled', 'refused', 'cancelled', 'lapsed') AND OLD.state <> NEW.state)
    EXECUTE FUNCTION bank.refuse_second_ending('redemption');
CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.visits
    FOR EACH ROW WHEN (OLD.state = 'confirmed') EXECUTE FUNCTION bank.refuse_second_ending('visit');

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['journal_entries', 'postings', 'blocks', 'seals', 'policy_versions', 'partner_events',
                                'settlement_batches', 'settlement_lines', 'reconciliations'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON bank.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()', name);
    END LOOP;
    FOR name IN SELECT c.relname FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
                 WHERE s.nspname = 'bank' AND c.relkind = 'r' AND c.relname NOT IN ('alembic_version', 'communities')
    LOOP
        EXECUTE format('ALTER TABLE bank.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_community ON bank.%I TO pointsbank_app '
                       'USING (community_id = current_setting(''pointsbank.community_id'')::integer)', name);
    END LOOP;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA bank FROM PUBLIC;
GRANT USAGE ON SCHEMA bank TO pointsbank_app;
GRANT SELECT ON ALL TABLES IN SCHEMA bank TO pointsbank_app;
GRANT EXECUTE ON FUNCTION bank.apply_entries, bank.lp, bank.micros TO pointsbank_app;

-- The ledger: only apply_entries writes entries, postings and balances.
GRANT INSERT ON bank.accounts, bank.policy_versions, bank.seals TO pointsbank_app;
GRANT INSERT (community_id, account_id, commodity, floor) ON bank.balances TO pointsbank_app;
GRANT INSERT (community_id, hash, algorithm, recorded_at) ON bank.ledger_heads TO pointsbank_app;
GRANT INSERT, UPDATE (state, captured, ended_at) ON bank.holds TO pointsbank_app;

-- What has been frozen or seen once is only ever added to.
GRANT INSERT ON bank.settlement_batches, bank.settlement_lines, bank.partner_events, bank.reconciliations,
    bank.idempotent_requests TO pointsbank_app;

GRANT INSERT, UPDATE ON bank.communities, bank.big_grids, bank.small_grids, bank.places, bank.buildings,
    bank.people, bank.organisations, bank.access_tokens, bank.help_requests, bank.visits, bank.offers,
    bank.redemptions, bank.partners, bank.outbox, bank.reconciliation_differences TO pointsbank_app;
GRANT INSERT ON bank.pairing_runs TO pointsbank_app;
GRANT INSERT, DELETE ON bank.grid_boundaries, bank.free_hours, bank.volunteer_skills, bank.person_roles,
    bank.partner_nonces TO pointsbank_app;

-- What has served its time: done intents, and answers that were kept for a retry.
GRANT DELETE ON bank.outbox, bank.idempotent_requests TO pointsbank_app;
