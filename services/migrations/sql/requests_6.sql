-- Who may speak for an elder, and the second wall around what is new.

-- Only family that a coordinator has confirmed asks for an elder.
CREATE FUNCTION bank.require_family() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM bank.family_ties t
                    WHERE t.community_id = NEW.community_id AND t.elder_id = NEW.elder_id
                      AND t.member_id = NEW.asked_by AND t.confirmed_at IS NOT NULL) THEN
        RAISE EXCEPTION 'request % is asked by somebody who is not confirmed as family', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER require_family AFTER INSERT ON bank.help_requests
    FOR EACH ROW WHEN (NEW.asked_through = 'family' AND NEW.series_id IS NULL)
    EXECUTE FUNCTION bank.require_family();
CREATE TRIGGER require_family AFTER INSERT ON bank.request_series
    FOR EACH ROW WHEN (NEW.asked_through = 'family') EXECUTE FUNCTION bank.require_family();

CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.exclusions
    FOR EACH ROW WHEN (OLD.lifted_at IS NOT NULL) EXECUTE FUNCTION bank.refuse_second_ending('exclusion');
CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.request_series
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL) EXECUTE FUNCTION bank.refuse_second_ending('series');

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['exclusions', 'request_series', 'series_exceptions'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE DELETE OR TRUNCATE ON bank.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['exclusions', 'family_ties', 'request_series', 'series_exceptions'] LOOP
        EXECUTE format('ALTER TABLE bank.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_community ON bank.%I TO pointsbank_app '
                       'USING (community_id = current_setting(''pointsbank.community_id'')::integer)', name);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION bank.require_family FROM PUBLIC;
GRANT SELECT, INSERT ON bank.exclusions, bank.family_ties, bank.request_series, bank.series_exceptions
    TO pointsbank_app;
GRANT UPDATE (lifted_by, lifted_at) ON bank.exclusions TO pointsbank_app;
GRANT UPDATE (relation, confirmed_by, confirmed_at) ON bank.family_ties TO pointsbank_app;
GRANT DELETE ON bank.family_ties TO pointsbank_app;
GRANT UPDATE (made_through, ended_by, ended_at) ON bank.request_series TO pointsbank_app;
