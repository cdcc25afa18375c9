-- A meal's shares are its price, to the fen, when it commits; and so no share comes later.
CREATE FUNCTION bank.require_meal_sum() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    meal record;
    shared record;
BEGIN
    SELECT r.fen, r.subsidised_meal, m.meal INTO meal
      FROM bank.meals m JOIN bank.redemptions r ON r.community_id = m.community_id AND r.id = m.redemption_id
     WHERE m.community_id = NEW.community_id AND m.redemption_id = NEW.redemption_id;
    SELECT coalesce(sum(s.fen), 0) AS fen, coalesce(bool_or(s.payer NOT IN ('points', 'cash')), false) AS helped
      INTO shared FROM bank.meal_shares s
     WHERE s.community_id = NEW.community_id AND s.redemption_id = NEW.redemption_id;
    IF shared.fen <> meal.fen THEN
        RAISE EXCEPTION 'the shares of meal % are not its price', NEW.redemption_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF shared.helped <> (meal.subsidised_meal IS NOT NULL) OR meal.subsidised_meal <> meal.meal THEN
        RAISE EXCEPTION 'meal % is not the one its redemption is subsidised for', NEW.redemption_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_meal_sum AFTER INSERT ON bank.meals
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_meal_sum();
CREATE CONSTRAINT TRIGGER require_meal_sum AFTER INSERT ON bank.meal_shares
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_meal_sum();

-- A redemption that is subsidised has a frozen meal that says by whom.
CREATE FUNCTION bank.require_frozen_meal() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM bank.meals m
                    WHERE m.community_id = NEW.community_id AND m.redemption_id = NEW.id) THEN
        RAISE EXCEPTION 'redemption % is subsidised and nothing says by whom', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_frozen_meal AFTER INSERT ON bank.redemptions
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.subsidised_meal IS NOT NULL)
    EXECUTE FUNCTION bank.require_frozen_meal();

-- Nobody gets back more than they paid, and each refund says truly what it leaves.
CREATE FUNCTION bank.require_refund_of_share() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE
    share bigint;
    back record;
BEGIN
    -- One refund of a meal at a time: two at once would each see the same share left.
    PERFORM 1 FROM bank.redemptions r
      WHERE r.community_id = NEW.community_id AND r.id = NEW.redemption_id FOR UPDATE;
    SELECT s.fen INTO share FROM bank.meal_shares s
     WHERE s.community_id = NEW.community_id AND s.redemption_id = NEW.redemption_id AND s.payer = NEW.payer;
    SELECT sum(b.fen) AS fen, min(b.left_fen) AS left_fen INTO back FROM bank.meal_refunds b
     WHERE b.community_id = NEW.community_id AND b.redemption_id = NEW.redemption_id AND b.payer = NEW.payer;
    IF share - back.fen < 0 OR share - back.fen <> back.left_fen THEN
        RAISE EXCEPTION 'a refund of meal % is not what is left of its share', NEW.redemption_id
            USING ERRCODE = 'check_violation';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM bank.redemptions r
                    WHERE r.community_id = NEW.community_id AND r.id = NEW.redemption_id
                      AND r.state = 'fulfilled') THEN
        RAISE EXCEPTION 'meal % was not captured, and nothing goes back of it', NEW.redemption_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_refund_of_share AFTER INSERT ON bank.meal_refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_refund_of_share();

-- What of a batch's line is the governments' and what was paid in cash: of a capture the shares less what was not
-- handed over (a refund that has the redemption's own id), of a correction what went back by its refund.
CREATE FUNCTION bank.settled_parts(p_community integer, p_redemption uuid, p_kind text, p_back uuid)
RETURNS TABLE (subsidy_fen bigint, cash_fen bigint) LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(part.fen) FILTER (WHERE part.payer IN ('city', 'district', 'town')), 0)::bigint,
           coalesce(sum(part.fen) FILTER (WHERE part.payer = 'cash'), 0)::bigint
      FROM (SELECT s.payer, s.fen FROM bank.meal_shares s
             WHERE p_kind = 'capture' AND s.community_id = p_community AND s.redemption_id = p_redemption
            UNION ALL
            SELECT b.payer, -b.fen FROM bank.meal_refunds b
             WHERE b.community_id = p_community AND b.redemption_id = p_redemption AND b.id = p_back) part
$$;

CREATE FUNCTION bank.require_settled_parts() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM fresh f
          LEFT JOIN bank.refunds u ON f.kind = 'correction' AND u.community_id = f.community_id
                                  AND u.redemption_id = f.redemption_id AND u.state = 'approved'
         CROSS JOIN LATERAL bank.settled_parts(f.community_id, f.redemption_id, f.kind,
                                               coalesce(u.id, f.redemption_id)) m
         WHERE (f.subsidy_fen, f.cash_fen) <> (m.subsidy_fen, m.cash_fen)) THEN
        RAISE EXCEPTION 'a line is not shared as its meal is' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER require_settled_parts AFTER INSERT ON bank.settlement_lines REFERENCING NEW TABLE AS fresh
    FOR EACH STATEMENT EXECUTE FUNCTION bank.require_settled_parts();

-- And a batch's parts are its lines'.
CREATE FUNCTION bank.require_batch_parts() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF (NEW.subsidy_fen, NEW.cash_fen) <> (
        SELECT coalesce(sum(l.subsidy_fen), 0)::bigint, coalesce(sum(l.cash_fen), 0)::bigint
          FROM bank.settlement_lines l WHERE l.community_id = NEW.community_id AND l.batch_id = NEW.id) THEN
        RAISE EXCEPTION 'the parts of batch % are not the sum of its lines', NEW.id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_batch_parts AFTER INSERT ON bank.settlement_batches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_batch_parts();

REVOKE ALL ON FUNCTION bank.require_settled_parts, bank.require_batch_parts FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bank.settled_parts TO pointsbank_app;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['person_standings', 'meals', 'meal_shares', 'meal_refunds'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON bank.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()', name);
        EXECUTE format('ALTER TABLE bank.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_community ON bank.%I TO pointsbank_app '
                       'USING (community_id = current_setting(''pointsbank.community_id'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON bank.%I TO pointsbank_app', name);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION bank.require_meal_sum, bank.require_frozen_meal, bank.require_refund_of_share FROM PUBLIC;
