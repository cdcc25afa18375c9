-- The functions as they were before refunds.

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
                                AND l.kind IN ('earning', 'gift', 'donation', 'grant', 'adjustment'))
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
                      WHERE l.community_id = p_community AND l.number = r.number AND l.debit = back.account), 0))
                THEN 'beyond_original'
            END;
        IF p_verdicts[r.entry] IS NULL THEN
            taken := taken || r.number;
        END IF;
    END LOOP;
    RETURN p_verdicts;
END
$$;

CREATE OR REPLACE FUNCTION bank.require_settled_captures() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
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
