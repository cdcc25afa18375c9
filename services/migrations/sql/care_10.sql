-- Nobody is promised to an elder from whom they are kept, and whoever is kept apart is promised no longer.
CREATE FUNCTION bank.refuse_kept_apart() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM bank.exclusions x
                WHERE x.community_id = NEW.community_id AND x.elder_id = NEW.elder_id
                  AND x.volunteer_id = NEW.volunteer_id AND x.lifted_at IS NULL) THEN
        RAISE EXCEPTION 'visit % is of two who are kept apart', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER refuse_kept_apart AFTER INSERT ON bank.visits
    FOR EACH ROW WHEN (NEW.state = 'planned') EXECUTE FUNCTION bank.refuse_kept_apart();
CREATE TRIGGER refuse_kept_apart_again AFTER UPDATE OF state ON bank.visits
    FOR EACH ROW WHEN (NEW.state = 'planned' AND OLD.state <> 'planned')
    EXECUTE FUNCTION bank.refuse_kept_apart();

CREATE FUNCTION bank.require_called_off() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM bank.visits v
                WHERE v.community_id = NEW.community_id AND v.elder_id = NEW.elder_id
                  AND v.volunteer_id = NEW.volunteer_id AND v.state = 'planned'
                  AND v.planned_start > NEW.set_at) THEN
        RAISE EXCEPTION 'exclusion % leaves a visit planned', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_called_off AFTER INSERT ON bank.exclusions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_called_off();

CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON bank.unmade_occurrences
    FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change();
ALTER TABLE bank.unmade_occurrences ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_community ON bank.unmade_occurrences TO pointsbank_app
    USING (community_id = current_setting('pointsbank.community_id')::integer);

REVOKE ALL ON FUNCTION bank.refuse_kept_apart, bank.require_called_off FROM PUBLIC;
GRANT SELECT, INSERT ON bank.unmade_occurrences TO pointsbank_app;
GRANT UPDATE (reason, detail, tries, tried_at, settled_at) ON bank.unmade_occurrences TO pointsbank_app;
GRANT UPDATE (given) ON bank.pairing_runs TO pointsbank_app;
