-- The second wall behind the code: triggers, grants, row-level security.

CREATE FUNCTION bank.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'mistakes are mended by reversal';
END
$$;

-- An account opens with nothing; from then on only apply_entries, which posts what it adds, may change its
-- balance. (An entry balances by its form: a line gives to one account what it takes from another.)
CREATE FUNCTION bank.refuse_opening_balance() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'the balance of account % is not what was posted', NEW.account_id
        USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER refuse_opening_balance BEFORE INSERT ON bank.balances
    FOR EACH ROW WHEN (NEW.balance <> 0) EXECUTE FUNCTION bank.refuse_opening_balance();

-- A hold's word is the journal's: it was opened by an entry, and it ended by one.
CREATE FUNCTION bank.require_hold_entries() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM bank.journal_lines l
                    WHERE l.community_id = NEW.community_id AND l.number = NEW.opened_by AND l.line = 1
                      AND l.kind = 'hold' AND l.source_id = NEW.source_id AND l.subject_ref = NEW.member_ref
                      AND l.amount = NEW.amount) THEN
        RAISE EXCEPTION 'hold % was opened by no entry', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    IF NEW.state <> 'open' AND NOT EXISTS (
        SELECT 1 FROM bank.journal_lines l
         WHERE l.community_id = NEW.community_id AND l.number = NEW.ended_by AND l.line = 1
           AND l.source_id = NEW.source_id AND l.subject_ref = NEW.member_ref
           AND l.kind::text = CASE NEW.state WHEN 'captured' THEN 'capture' ELSE 'void' END
           AND l.amount = CASE NEW.state WHEN 'captured' THEN NEW.captured ELSE NEW.amount END) THEN
        RAISE EXCEPTION 'hold % has ended by no entry', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_hold_entries AFTER INSERT OR UPDATE ON bank.holds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_hold_entries();

-- A visit or a batch that names its entry is the document that entry cites.
CREATE FUNCTION bank.require_own_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.entry_number IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM bank.journal_lines l
         WHERE l.community_id = NEW.community_id AND l.number = NEW.entry_number AND l.line = 1
           AND l.source_id = NEW.id AND l.kind::text = TG_ARGV[1]) THEN
        RAISE EXCEPTION '% % names an entry that is not its own', TG_ARGV[0], NEW.id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_own_entry AFTER INSERT OR UPDATE OF entry_number ON bank.visits
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_own_entry('visit', 'earning');
CREATE CONSTRAINT TRIGGER require_own_entry AFTER INSERT ON bank.settlement_batches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_own_entry('settlement batch', 'settlement');

-- A redemption ends as its hold does.
CREATE FUNCTION bank.require_hold_of_redemption() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM bank.holds h
         WHERE h.community_id = NEW.community_id AND h.id = NEW.id AND h.amount = NEW.milli_points
           AND CASE WHEN NEW.state = 'fulfilled' THEN h.state = 'captured'
                    WHEN NEW.state IN ('refused', 'cancelled', 'lapsed') THEN h.state IN ('voided', 'expired')
                    ELSE h.state = 'open' END) THEN
        RAISE EXCEPTION 'redemption % is % and its hold is not', NEW.id, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_hold_of_redemption AFTER INSERT OR UPDATE ON bank.redemptions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_hold_of_redemption();

-- A batch is what its lines are: equal when it commits, and no line comes later.
CREATE FUNCTION bank.require_batch_totals() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    summed record;
BEGIN
    SELECT count(*) AS lines, coalesce(sum(l.milli_points), 0) AS milli_points, coalesce(sum(l.fen), 0) AS fen
      INTO summed FROM bank.settlement_lines l
     WHERE l.community_id = NEW.community_id AND l.batch_id = NEW.id;
    IF (summed.lines, summed.milli_points, summed.fen) <> (NEW.lines, NEW.milli_points, NEW.fen) THEN
        RAISE EXCEPTION 'batch % is not the sum of its lines', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_batch_totals AFTER INSERT ON bank.settlement_batches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_batch_totals();

CREATE FUNCTION bank.require_settled_captures() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM fresh f
          LEFT JOIN bank.redemptions r ON r.community_id = f.community_id AND r.id = f.redemption_id
         WHERE r.state IS DISTINCT FROM 'fulfilled' OR r.milli_points <> f.milli_points OR r.fen <> f.fen) THEN
        RAISE EXCEPTION 'a line is not a captured redemption as it stands' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT 1 FROM (SELECT DISTINCT community_id, batch_id FROM fresh) f
          JOIN bank.settlement_batches b ON b.community_id = f.community_id AND b.id = f.batch_id
         WHERE (SELECT count(*) FROM bank.settlement_lines l
                 WHERE l.community_id = b.community_id AND l.batch_id = b.id) > b.lines) THEN
        RAISE EXCEPTION 'a frozen batch takes no line' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER require_settled_captures AFTER INSERT ON bank.settlement_lines
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION bank.require_settled_captures();

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
CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.reconciliation_differences
    FOR EACH ROW WHEN (OLD.resolved_at IS NOT NULL)
    EXECUTE FUNCTION bank.refuse_second_ending('reconciliation difference');
CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.visits
    FOR EACH ROW WHEN (OLD.state = 'confirmed') EXECUTE FUNCTION bank.refuse_second_ending('visit');

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['journal_lines', 'accounts', 'seals', 'merkle_nodes', 'policy_versions', 'partner_events',
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
GRANT USAGE ON TYPE bank.entry_kind, bank.source_kind TO pointsbank_app;
GRANT EXECUTE ON FUNCTION bank.apply_entries, bank.open_accounts, bank.number_before, bank.balance_at
    TO pointsbank_app;

-- The ledger: only apply_entries writes lines and balances, only open_accounts opens accounts.
GRANT INSERT ON bank.policy_versions, bank.seals, bank.merkle_nodes TO pointsbank_app;
GRANT INSERT (community_id, hash, algorithm, recorded_at) ON bank.ledger_heads TO pointsbank_app;
GRANT INSERT, UPDATE (state, captured, ended_at, ended_by) ON bank.holds TO pointsbank_app;

-- What has been frozen or seen once is only ever added to.
GRANT INSERT ON bank.settlement_batches, bank.settlement_lines, bank.partner_events, bank.reconciliations,
    bank.idempotent_requests TO pointsbank_app;

GRANT INSERT, UPDATE ON bank.communities, bank.big_grids, bank.small_grids, bank.places, bank.buildings,
    bank.people, bank.organisations, bank.access_tokens, bank.help_requests, bank.visits, bank.offers,
    bank.partners, bank.outbox, bank.reconciliation_differences TO pointsbank_app;
GRANT INSERT, UPDATE (state, reason, partner_reference, captured_on, updated_at) ON bank.redemptions
    TO pointsbank_app;
GRANT INSERT ON bank.pairing_runs TO pointsbank_app;
GRANT INSERT, DELETE ON bank.grid_boundaries, bank.free_hours, bank.volunteer_skills, bank.person_roles,
    bank.partner_nonces TO pointsbank_app;

-- What has served its time: done intents, expired tokens; and the answers kept for a retry, but not that they were given.
GRANT DELETE ON bank.outbox, bank.access_tokens TO pointsbank_app;
GRANT UPDATE (answer) ON bank.idempotent_requests TO pointsbank_app;
