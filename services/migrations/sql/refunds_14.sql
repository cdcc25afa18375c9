-- Refunds: a capture is taken back by a document that two people decided; corrections in batches; who signed
-- a batch and that it was paid.

-- As before, and a capture too: of it only what the partner got (its first line), never what was released.
CREATE OR REPLACE FUNCTION bank.judge_reversals(
    p_community integer, p_verdicts text[], p_numbers integer[], p_ints integer[], p_amounts bigint[],
    p_reverses bigint[]
)
RETURNS text[] LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    r record;
    taken bigint[] := '{}';
BEGIN
    FOR r IN SELECT g.i, lead(g.i, 1, cardinality(p_amounts) + 1) OVER (ORDER BY g.i) - 1 AS last,
                    p_ints[5 * g.i - 2] AS entry, p_reverses[g.i] AS number
               FROM generate_series(1, cardinality(p_amounts)) AS g(i)
              WHERE p_ints[5 * g.i - 1] = 1 ORDER BY g.i LOOP
        CONTINUE WHEN r.number IS NULL OR p_verdicts[r.entry] IS NOT NULL;
        p_verdicts[r.entry] := CASE
            WHEN NOT EXISTS (SELECT 1 FROM bank.journal_lines l
                              WHERE l.community_id = p_community AND l.number = r.number
                                AND l.kind IN ('earning', 'gift', 'donation', 'grant', 'adjustment', 'capture'))
                THEN 'not_reversible'
            WHEN r.number = ANY (taken) OR EXISTS (
                SELECT 1 FROM bank.journal_lines l
                 WHERE l.community_id = p_community AND l.reverses = r.number AND l.line = 1)
                THEN 'already_reversed'
            WHEN EXISTS (
                SELECT 1
                  FROM (SELECT p_numbers[p_ints[5 * g.i - 3]] AS account, sum(p_amounts[g.i]) AS amount
                          FROM generate_series(r.i, r.last) AS g(i) GROUP BY 1) back
                 WHERE back.amount > coalesce((
                     SELECT sum(l.amount) FROM bank.journal_lines l
                      WHERE l.community_id = p_community AND l.number = r.number AND l.debit = back.account
                        AND (l.kind <> 'capture' OR l.line = 1)), 0))
                THEN 'beyond_original'
            END;
        IF p_verdicts[r.entry] IS NULL THEN
            taken := taken || r.number;
        END IF;
    END LOOP;
    RETURN p_verdicts;
END
$$;

-- A refund's word is the journal's: once approved, an entry takes back the capture of its redemption.
CREATE FUNCTION bank.require_refund_entry() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF NEW.state = 'approved' AND NOT EXISTS (
        SELECT 1 FROM bank.journal_lines l
          JOIN bank.holds h ON h.community_id = l.community_id AND h.id = NEW.redemption_id
                           AND h.ended_by = l.reverses AND h.state = 'captured'
         WHERE l.community_id = NEW.community_id AND l.number = NEW.entry_number AND l.line = 1
           AND l.kind = 'reversal' AND l.source_id = NEW.redemption_id AND l.amount = NEW.milli_points) THEN
        RAISE EXCEPTION 'refund % was carried out by no entry', NEW.id USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF NOT EXISTS (
        SELECT 1 FROM bank.redemptions r
          JOIN bank.holds h ON h.community_id = r.community_id AND h.id = r.id
         WHERE r.community_id = NEW.community_id AND r.id = NEW.redemption_id AND r.state = 'fulfilled'
           AND r.captured_on = NEW.service_date AND r.partner_id = NEW.partner_id
           AND NEW.milli_points <= h.captured
           AND NEW.fen <= r.fen * r.served / r.quantity) THEN
        RAISE EXCEPTION 'refund % is of no captured redemption', NEW.id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_refund_entry AFTER INSERT OR UPDATE ON bank.refunds
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_refund_entry();
-- And only a refund takes a capture back.
CREATE FUNCTION bank.require_refund_of_capture() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM bank.journal_lines l
                WHERE l.community_id = NEW.community_id AND l.number = NEW.reverses AND l.line = 1
                  AND l.kind = 'capture')
       AND NOT EXISTS (SELECT 1 FROM bank.refunds u
                        WHERE u.community_id = NEW.community_id AND u.entry_number = NEW.number) THEN
        RAISE EXCEPTION 'a capture is taken back by a refund alone' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_refund_of_capture AFTER INSERT ON bank.journal_lines
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.reverses IS NOT NULL AND NEW.line = 1)
    EXECUTE FUNCTION bank.require_refund_of_capture();

CREATE TRIGGER refuse_second_ending BEFORE UPDATE ON bank.refunds
    FOR EACH ROW WHEN (OLD.state <> 'proposed') EXECUTE FUNCTION bank.refuse_second_ending('refund');

-- A line is a capture as it was served, or an approved refund taken away again.
CREATE OR REPLACE FUNCTION bank.require_settled_captures() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT 1 FROM fresh f
          LEFT JOIN bank.redemptions r ON r.community_id = f.community_id AND r.id = f.redemption_id
          LEFT JOIN bank.holds h ON h.community_id = r.community_id AND h.id = r.id
         WHERE f.kind = 'capture'
           AND (r.state IS DISTINCT FROM 'fulfilled' OR r.captured_on <> f.service_date
                OR h.captured <> f.milli_points
                OR r.fen * r.served / r.quantity <> f.fen)) THEN
        RAISE EXCEPTION 'a line is not a captured redemption as it stands' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (
        SELECT 1 FROM fresh f
         WHERE f.kind = 'correction' AND NOT EXISTS (
             SELECT 1 FROM bank.refunds u
              WHERE u.community_id = f.community_id AND u.redemption_id = f.redemption_id
                AND u.state = 'approved' AND u.service_date = f.service_date
                AND u.milli_points = -f.milli_points AND u.fen = -f.fen)) THEN
        RAISE EXCEPTION 'a correction is not an approved refund' USING ERRCODE = 'check_violation';
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

-- A batch is paid once two people have signed it.
CREATE FUNCTION bank.require_two_signatures() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF (SELECT count(*) FROM bank.settlement_signatures s
         WHERE s.community_id = NEW.community_id AND s.batch_id = NEW.batch_id) < 2 THEN
        RAISE EXCEPTION 'batch % is not signed by two', NEW.batch_id USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE CONSTRAINT TRIGGER require_two_signatures AFTER INSERT ON bank.settlement_payments
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION bank.require_two_signatures();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['settlement_signatures', 'settlement_payments'] LOOP
        EXECUTE format('CREATE TRIGGER refuse_change BEFORE UPDATE OR DELETE OR TRUNCATE ON bank.%I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION bank.refuse_change()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['refunds', 'settlement_signatures', 'settlement_payments'] LOOP
        EXECUTE format('ALTER TABLE bank.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own_community ON bank.%I TO pointsbank_app '
                       'USING (community_id = current_setting(''pointsbank.community_id'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON bank.%I TO pointsbank_app', name);
    END LOOP;
END
$$;

GRANT UPDATE (state, decided_by, decided_at, booked_on, entry_number, proposed_by, proposed_at, milli_points, fen,
              reason) ON bank.refunds TO pointsbank_app;
GRANT UPDATE (served) ON bank.redemptions TO pointsbank_app;
REVOKE ALL ON FUNCTION bank.require_refund_entry, bank.require_refund_of_capture, bank.require_two_signatures
    FROM PUBLIC;
