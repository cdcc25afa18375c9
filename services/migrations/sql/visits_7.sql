-- A visit is confirmed from done and from nowhere else: not while it is disputed, nor before it was checked out.
CREATE FUNCTION bank.refuse_early_confirmation() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    RAISE EXCEPTION 'visit % is %: it cannot be confirmed', OLD.id, OLD.state USING ERRCODE = 'check_violation';
END
$$;

CREATE TRIGGER refuse_early_confirmation BEFORE UPDATE ON bank.visits
    FOR EACH ROW WHEN (NEW.state = 'confirmed' AND OLD.state NOT IN ('done', 'confirmed'))
    EXECUTE FUNCTION bank.refuse_early_confirmation();

-- Nobody speaks for the other side: the volunteer's word is the volunteer's, the elder's side never is.
CREATE FUNCTION bank.require_own_side() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM bank.visits v
                    WHERE v.community_id = NEW.community_id AND v.id = NEW.visit_id
                      AND (NEW.side = 'volunteer') = (v.volunteer_id = NEW.given_by)) THEN
        RAISE EXCEPTION 'feedback on visit % is not the word of its side', NEW.visit_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_own_side AFTER INSERT OR UPDATE ON bank.visit_feedback
    FOR EACH ROW EXECUTE FUNCTION bank.require_own_side();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['visit_feedback', 'complaints', 'sanctions'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON bank.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['visit_feedback', 'complaints', 'sanctions', 'door_secrets', 'used_door_codes',
                                'door_code_attempts'] LOOP
        EXECUTE format('ALTER TABLE bank.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_community ON bank.%I TO pointsbank_app '
                       'USING (community_id = current_setting(''pointsbank.community_id'')::integer)', name);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION bank.refuse_early_confirmation, bank.require_own_side FROM PUBLIC;
GRANT SELECT, INSERT ON bank.visit_feedback, bank.complaints, bank.sanctions, bank.door_secrets,
    bank.used_door_codes, bank.door_code_attempts TO pointsbank_app;
GRANT UPDATE (given_by, again, rating, note, changed_at) ON bank.visit_feedback TO pointsbank_app;
GRANT UPDATE (state, heard_by, heard_at, answer, decided_by, decided_at, finding, reversal_id, appeal, appealed_by,
              appealed_at, appeal_note, appeal_decided_by, appeal_decided_at, appeal_finding, restoring_points_id,
              restoring_minutes_id) ON bank.complaints TO pointsbank_app;
GRANT UPDATE (lifted_by, lifted_at) ON bank.sanctions TO pointsbank_app;
GRANT UPDATE (card_hash, card_issued_at) ON bank.door_secrets TO pointsbank_app;
GRANT DELETE ON bank.used_door_codes, bank.door_code_attempts TO pointsbank_app;
