-- What two people decide, policy versions on their way, and how far the expiry of lots has run.

-- Take the community's one lock before reading what an entry is decided by: until the unit of work ends
-- nobody else posts, so that what was read is still so when the entry is posted. Returns the last entry.
CREATE FUNCTION bank.lock_ledger(p_community integer)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET enable_seqscan = off AS $$
DECLARE
    last bigint;
BEGIN
    IF nullif(current_setting('pointsbank.community_id', true), '') IS DISTINCT FROM p_community::text THEN
        RAISE EXCEPTION 'unit of work is for another community' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT h.entry_number INTO last FROM bank.ledger_heads h WHERE h.community_id = p_community FOR UPDATE;
    RETURN last;
END
$$;

-- A decision that was carried out is the document its entry cites, of its kind, and what was decided.
CREATE FUNCTION bank.require_decided_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.posted_number IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM bank.journal_lines l
         WHERE l.community_id = NEW.community_id AND l.number = NEW.posted_number AND l.line = 1
           AND l.source_id = NEW.id AND l.kind::text = NEW.kind AND l.source_kind::text = NEW.kind
           AND l.reverses IS NOT DISTINCT FROM NEW.entry_number
           AND (NEW.amount IS NULL OR l.amount = abs(NEW.amount))) THEN
        RAISE EXCEPTION 'decision % names an entry that is not its own', NEW.id
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_decided_entry AFTER INSERT OR UPDATE ON bank.decisions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_decided_entry();
CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.decisions
    FOR EACH ROW WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION bank.refuse_second_ending('decision');
CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.policy_proposals
    FOR EACH ROW WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION bank.refuse_second_ending('policy proposal');

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['decisions', 'policy_proposals'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON bank.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['decisions', 'policy_proposals', 'expiry_sweeps'] LOOP
        EXECUTE format('ALTER TABLE bank.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_community ON bank.%I TO pointsbank_app '
                       'USING (community_id = current_setting(''pointsbank.community_id'')::integer)', name);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION bank.lock_ledger, bank.require_decided_entry FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bank.lock_ledger TO pointsbank_app;
GRANT SELECT, INSERT ON bank.decisions, bank.policy_proposals, bank.expiry_sweeps TO pointsbank_app;
GRANT UPDATE (state, decided_by, decided_at, posted_number) ON bank.decisions TO pointsbank_app;
GRANT UPDATE (state, decided_by, decided_at, version) ON bank.policy_proposals TO pointsbank_app;
GRANT UPDATE (through_day, through_entry, swept_at) ON bank.expiry_sweeps TO pointsbank_app;
