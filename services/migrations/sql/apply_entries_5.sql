-- The one way into the journal.
--
-- apply_entries takes a community's head row (its one lock), gives every entry of the batch a verdict in
-- order, and records the accepted ones under the hash chain. Verdicts:
--   posted · already (same key, same request: its first number) · key_reused (same key, another request)
--   · floor (an account would pass its floor; o_accounts and o_available say which and what it had)
--   · unknown_account (nothing of the batch was tried: open the accounts and send it again)
--   · not_reversible · already_reversed · beyond_original (a reversal takes more than was given)
--   · no_hold (none, or somebody else's) · not_the_hold (it does not use up exactly what is held) · hold_ended
--   · hold_expired (a capture too late, swept or not)
--   · linked (an entry of its all-or-none group was refused)
-- o_verdicts is null when every entry was one line and all were posted: then the numbers are o_first,
-- o_first + 1, …
--
-- Columns come packed by type, one element or a few for each line, because every array costs a fixed time:
--   p_accounts  the accounts of the batch, ascending, each once
--   p_moves     for each of them: what it gets in all, and the last entry (1, 2, …) that touches it, should
--               all be posted
--   p_ints      debit's place in p_accounts, credit's place, entry (1, 2, …), line (1, 2, …), policy
--   p_ids       the entry's id
--   p_refs      source, actor, subject
--   p_kinds     kind, source kind
--   p_amounts, p_occurred; and where any line has one, else null: p_expires, p_reverses, p_holds (which the
--   entry ends), p_links (entries of one number in a row are all posted or none), p_recorded (a journal
--   brought in again keeps its moments); p_tell: say by a notice when the head row has been
--   taken and every account found
--
-- The balances are moved first, in one statement, as if every entry were posted: it nearly always is, and
-- what it returns tells what every account had before. Then each entry is judged exactly, in order; where
-- one is refused, or the move as a whole would break a floor, the balances are put right afterwards.
--
-- Every table is reached by a key that leads with community_id, by look-ups that no statistics of a table
-- that was empty when the plan was made can turn into scans.

CREATE FUNCTION bank.apply_entries(
    p_community integer,
    p_recorded_at timestamptz,
    p_accounts uuid[],
    p_moves bigint[],
    p_ints integer[],
    p_ids uuid[],
    p_refs uuid[],
    p_kinds text[],
    p_amounts bigint[],
    p_occurred timestamptz[],
    p_expires date[],
    p_reverses bigint[],
    p_holds uuid[],
    p_links integer[],
    p_recorded timestamptz[],
    p_tell boolean,
    OUT o_first bigint,
    OUT o_verdicts text[],
    OUT o_numbers bigint[],
    OUT o_accounts uuid[],
    OUT o_available bigint[]
)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_bitmapscan = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    m integer := cardinality(p_amounts);            -- lines
    n integer := p_ints[5 * cardinality(p_amounts) - 2];  -- entries
    head bigint;
    chain bytea;
    latest timestamptz;
    policies integer;
    seen record;
    known bigint[];
    known_lines integer[];
    i integer;          -- first line of the group being judged
    e integer;          -- its last line
    q integer;
    place integer;
    debit integer;
    credit integer;
    amount bigint;
    entry integer;
    number bigint;      -- of the entry recorded last
    moved boolean := false;
    plain boolean;      -- every entry is one line, linked to none, without a verdict yet, recorded now
    low boolean;        -- an account passed its floor on the way
    worst integer;      -- the account that is below its floor where an entry leaves it
    refused boolean := false;
    at timestamptz;
    numbers_of integer[];
    balances bigint[];
    floors bigint[];
    commodities text[];
    lasts bigint[];
    befores bigint[];   -- of several lines of an entry that touch one account, each says the same
    verdicts text[];
    line_numbers bigint[];
    debit_afters bigint[];
    credit_afters bigint[];
    debit_befores bigint[];
    credit_befores bigint[];
    hashes bytea[];
BEGIN
    -- Outside any unit of work none is set: a gathered batch is a statement by itself.
    IF nullif(current_setting('pointsbank.community_id', true), '') <> p_community::text THEN
        RAISE EXCEPTION 'unit of work is for another community' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF (m BETWEEN 1 AND 20000 AND n BETWEEN 1 AND 5000 AND cardinality(p_ints) = 5 * m
        AND cardinality(p_ids) = m AND cardinality(p_refs) = 3 * m AND cardinality(p_kinds) = 2 * m
        AND cardinality(p_occurred) = m AND cardinality(p_moves) = 2 * cardinality(p_accounts)
        AND p_ints[3] = 1 AND p_ints[4] = 1 AND p_recorded_at <= clock_timestamp() + interval '1 minute'
        AND (p_holds IS NOT NULL OR NOT p_kinds && '{capture,void}')) IS NOT TRUE THEN
        IF m IS NULL OR m NOT BETWEEN 1 AND 20000 OR n NOT BETWEEN 1 AND 5000 THEN
            RAISE EXCEPTION 'a batch holds 1 to 5000 entries of 20000 lines at most'
                USING ERRCODE = 'program_limit_exceeded';
        ELSIF p_recorded_at > clock_timestamp() + interval '1 minute' THEN
            RAISE EXCEPTION 'recorded in the future' USING ERRCODE = 'check_violation';
        ELSIF p_holds IS NULL AND p_kinds && '{capture,void}' THEN
            RAISE EXCEPTION 'a capture or void names the hold it ends' USING ERRCODE = 'check_violation';
        END IF;
        RAISE EXCEPTION 'the columns of a batch do not fit together' USING ERRCODE = 'check_violation';
    END IF;

    SELECT h.entry_number, h.hash, h.recorded_at,
           (SELECT max(v.version) FROM bank.policy_versions v WHERE v.community_id = p_community)
      INTO head, chain, latest, policies
      FROM bank.ledger_heads h WHERE h.community_id = p_community FOR UPDATE OF h;
    IF head IS NULL THEN
        RAISE EXCEPTION 'the community has no ledger' USING ERRCODE = 'foreign_key_violation';
    END IF;

    -- What was posted before is looked up first: it must not be moved again.
    SELECT array_agg(k.number), array_agg(g.i) INTO known, known_lines
      FROM generate_series(1, m) AS g(i)
     CROSS JOIN LATERAL (SELECT x.number FROM bank.journal_lines x
                          WHERE x.community_id = p_community AND x.id = p_ids[g.i] LIMIT 1) k
     WHERE p_ints[5 * g.i - 1] = 1;

    -- A record keeps its arrays flat, which width_bucket needs to be quick.
    SELECT p_accounts AS accounts, p_moves AS moves INTO seen;
    IF known IS NULL THEN
        BEGIN
            WITH b AS (
                UPDATE bank.balances a
                   SET balance = a.balance + p_moves[2 * width_bucket(a.account_id, seen.accounts) - 1],
                       previous_number = a.last_number,
                       last_number = head + p_moves[2 * width_bucket(a.account_id, seen.accounts)]
                 WHERE a.community_id = p_community AND a.account_id = ANY (p_accounts)
                RETURNING a.account_id, a.account_number, a.balance, a.floor, a.commodity, a.last_number,
                          a.previous_number)
            SELECT p_accounts AS accounts, array_agg(b.account_id) AS ids, array_agg(b.account_number) AS numbers,
                   array_agg(b.balance - p_moves[2 * width_bucket(b.account_id, seen.accounts) - 1]) AS balances,
                   array_agg(b.balance) AS afters, array_agg(b.floor) AS floors,
                   array_agg(b.commodity::text) AS commodities, array_agg(b.previous_number) AS lasts,
                   array_agg(b.last_number) AS last_afters
              INTO seen FROM b;
            IF seen.ids IS DISTINCT FROM p_accounts THEN  -- they come in the order of the index
                RAISE no_data_found;
            END IF;
            moved := true;
        EXCEPTION WHEN check_violation OR no_data_found THEN
            moved := false;
        END;
    END IF;
    IF NOT moved THEN
        SELECT p_accounts AS accounts, array_agg(b.account_id) AS ids, array_agg(b.account_number) AS numbers,
               array_agg(b.balance) AS balances, null::bigint[] AS afters, array_agg(b.floor) AS floors,
               array_agg(b.commodity) AS commodities, array_agg(b.last_number) AS lasts,
               null::bigint[] AS last_afters
          INTO seen
          FROM (SELECT a.account_id, a.account_number, a.balance, a.floor, a.commodity::text AS commodity,
                       a.last_number
                  FROM bank.balances a
                 WHERE a.community_id = p_community AND a.account_id = ANY (p_accounts)
                 ORDER BY a.account_id) b;
        IF seen.ids IS DISTINCT FROM p_accounts THEN
            IF cardinality(seen.ids) = cardinality(p_accounts) THEN
                RAISE EXCEPTION 'the accounts of a batch ascend' USING ERRCODE = 'check_violation';
            END IF;
            o_verdicts := array_fill('unknown_account'::text, ARRAY[n]);
            RETURN;
        END IF;
    END IF;
    IF p_tell THEN
        -- From here on this batch is judged and recorded, or fails. Sent at once, not with the answer: whoever
        -- waits to send the next batch knows that it cannot overtake.
        RAISE NOTICE USING MESSAGE = 'head taken';
    END IF;

    numbers_of := seen.numbers;
    balances := seen.balances;
    floors := seen.floors;
    commodities := seen.commodities;
    lasts := seen.lasts;

    plain := n = m AND known IS NULL AND p_links IS NULL AND p_reverses IS NULL AND p_holds IS NULL
             AND p_recorded IS NULL;
    IF NOT plain THEN
        FOR q IN 2..m LOOP
            IF (CASE WHEN p_ints[5 * q - 1] = 1 THEN p_ints[5 * q - 2] = p_ints[5 * q - 7] + 1
                     ELSE p_ints[5 * q - 2] = p_ints[5 * q - 7] AND p_ints[5 * q - 1] = p_ints[5 * q - 6] + 1 END
               ) IS NOT TRUE THEN
                RAISE EXCEPTION 'entries, and the lines of each, are numbered 1, 2, …'
                    USING ERRCODE = 'check_violation';
            END IF;
        END LOOP;
        verdicts := array_fill(NULL::text, ARRAY[n]);
        o_numbers := array_fill(NULL::bigint, ARRAY[n]);
        IF known IS NOT NULL THEN
            FOR q IN 1..cardinality(known) LOOP
                i := known_lines[q];
                entry := p_ints[5 * i - 2];
                e := i;
                WHILE e < m AND p_ints[5 * e + 3] = entry LOOP
                    e := e + 1;
                END LOOP;
                verdicts[entry] := bank.same_request(p_community, known[q], i, e, numbers_of, p_ints, p_refs,
                                                     p_kinds, p_amounts, p_expires, p_reverses);
                o_numbers[entry] := known[q];
            END LOOP;
        END IF;
        IF p_reverses IS NOT NULL THEN
            verdicts := bank.judge_reversals(p_community, verdicts, numbers_of, p_ints, p_amounts, p_reverses);
        END IF;
        IF p_holds IS NOT NULL THEN
            verdicts := bank.judge_holds(p_community, verdicts, p_ints, p_refs, p_kinds, p_amounts, p_occurred,
                                         p_holds);
        END IF;
        befores := lasts;
    END IF;

    line_numbers := array_fill(NULL::bigint, ARRAY[m]);
    debit_afters := p_amounts;
    credit_afters := p_amounts;
    debit_befores := p_amounts;
    credit_befores := p_amounts;
    hashes := array_fill(NULL::bytea, ARRAY[m]);
    number := head;
    at := CASE WHEN p_recorded IS NULL THEN greatest(p_recorded_at, latest)
               WHEN head = 0 THEN '-infinity' ELSE latest END;

    e := 0;
    WHILE e < m LOOP
        -- The group: the lines of one entry, or of the entries linked with it.
        i := e + 1;
        e := i;
        worst := NULL;
        IF NOT plain THEN
            WHILE e < m AND (p_ints[5 * e + 3] = p_ints[5 * e - 2] OR p_links[e + 1] = p_links[e]) LOOP
                e := e + 1;
            END LOOP;
            place := 0;  -- how many entries of the group have a verdict already
            FOR q IN i..e LOOP
                IF p_ints[5 * q - 1] = 1 AND verdicts[p_ints[5 * q - 2]] IS NOT NULL THEN
                    place := place + 1;
                END IF;
            END LOOP;
            IF place > 0 THEN
                refused := true;
                FOR q IN i..e LOOP
                    IF verdicts[p_ints[5 * q - 2]] IS NULL THEN
                        verdicts[p_ints[5 * q - 2]] := 'linked';
                    END IF;
                END LOOP;
                CONTINUE;
            END IF;
        END IF;

        low := false;
        q := i;
        LOOP
            debit := p_ints[5 * q - 4];
            credit := p_ints[5 * q - 3];
            IF (commodities[debit] = commodities[credit] AND p_ints[5 * q] BETWEEN 1 AND policies
                AND (NOT plain OR (p_ints[5 * q - 2] = q AND p_ints[5 * q - 1] = 1))
                AND (p_kinds[2 * q - 1] = 'reversal') = (p_reverses[q] IS NOT NULL)) IS NOT TRUE THEN
                PERFORM bank.refuse_line(
                    commodities[debit] = commodities[credit],
                    NOT plain OR (p_ints[5 * q - 2] = q AND p_ints[5 * q - 1] = 1), p_ints[5 * q], policies);
            END IF;
            amount := balances[credit] - p_amounts[q];
            balances[credit] := amount;
            credit_afters[q] := amount;
            low := low OR amount < floors[credit];
            amount := balances[debit] + p_amounts[q];
            balances[debit] := amount;
            debit_afters[q] := amount;
            -- Only where an entry leaves its accounts counts, not the order of its lines.
            IF low AND (q = e OR p_ints[5 * q + 3] <> p_ints[5 * q - 2]) THEN
                entry := p_ints[5 * q - 2];
                place := q;
                WHILE place >= i AND p_ints[5 * place - 2] = entry LOOP
                    IF balances[p_ints[5 * place - 3]] < floors[p_ints[5 * place - 3]] THEN
                        worst := p_ints[5 * place - 3];
                    END IF;
                    place := place - 1;
                END LOOP;
                EXIT WHEN worst IS NOT NULL;
                low := false;
            END IF;
            EXIT WHEN q = e;
            q := q + 1;
        END LOOP;

        IF worst IS NOT NULL THEN
            -- Refused: it leaves no trace, so that its neighbours are judged as if it had never been sent.
            verdicts := coalesce(verdicts, array_fill(NULL::text, ARRAY[n]));
            entry := p_ints[5 * q - 2];
            WHILE q >= i LOOP
                debit := p_ints[5 * q - 4];
                credit := p_ints[5 * q - 3];
                balances[debit] := balances[debit] - p_amounts[q];
                balances[credit] := balances[credit] + p_amounts[q];
                IF p_ints[5 * q - 2] = entry AND p_ints[5 * q - 1] = 1 THEN
                    -- What the account had when its own entry came to be judged.
                    o_available := coalesce(o_available, array_fill(NULL::bigint, ARRAY[n]));
                    o_available[entry] := balances[worst];
                END IF;
                q := q - 1;
            END LOOP;
            refused := true;
            FOR q IN i..e LOOP
                verdicts[p_ints[5 * q - 2]] := 'linked';
            END LOOP;
            verdicts[entry] := 'floor';
            o_accounts := coalesce(o_accounts, array_fill(NULL::uuid, ARRAY[n]));
            o_accounts[entry] := p_accounts[worst];
            CONTINUE;
        END IF;

        FOR q IN i..e LOOP
            debit := p_ints[5 * q - 4];
            credit := p_ints[5 * q - 3];
            IF plain THEN
                number := number + 1;
                debit_befores[q] := lasts[debit];
                credit_befores[q] := lasts[credit];
            ELSE
                IF p_ints[5 * q - 1] = 1 THEN
                    number := number + 1;
                    IF p_recorded IS NOT NULL THEN
                        IF p_recorded[q] > clock_timestamp() + interval '1 minute' THEN
                            RAISE EXCEPTION 'recorded in the future' USING ERRCODE = 'check_violation';
                        END IF;
                        IF p_recorded[q] < at THEN
                            RAISE EXCEPTION 'recorded before the entry before it'
                                USING ERRCODE = 'check_violation';
                        END IF;
                        at := p_recorded[q];
                    END IF;
                ELSIF p_ints[5 * q] <> p_ints[5 * q - 5] OR p_ids[q] <> p_ids[q - 1] OR p_refs[3 * q - 2:3 * q] <> p_refs[3 * q - 5:3 * q - 3]
                      OR p_kinds[2 * q - 1:2 * q] <> p_kinds[2 * q - 3:2 * q - 2]
                      OR p_occurred[q] <> p_occurred[q - 1]
                      OR p_reverses[q] IS DISTINCT FROM p_reverses[q - 1]
                      OR p_holds[q] IS DISTINCT FROM p_holds[q - 1]
                      OR p_recorded[q] <> p_recorded[q - 1] THEN
                    -- What is judged by its first line must be said by every line.
                    RAISE EXCEPTION 'the lines of an entry say the same of it'
                        USING ERRCODE = 'check_violation';
                END IF;
                IF lasts[debit] <> number THEN
                    befores[debit] := lasts[debit];
                END IF;
                IF lasts[credit] <> number THEN
                    befores[credit] := lasts[credit];
                END IF;
                debit_befores[q] := befores[debit];
                credit_befores[q] := befores[credit];
            END IF;
            line_numbers[q] := number;
            lasts[debit] := number;
            lasts[credit] := number;
            chain := sha256(chain || sha256(record_send(ROW(
                1::smallint, p_community, number, p_ints[5 * q - 1]::smallint, p_ids[q], p_kinds[2 * q - 1],
                p_kinds[2 * q], p_refs[3 * q - 2], p_refs[3 * q - 1], p_refs[3 * q], p_ints[5 * q], p_occurred[q],
                at, p_reverses[q], p_accounts[debit], p_accounts[credit], p_amounts[q], debit_afters[q],
                credit_afters[q], p_expires[q]))));
            hashes[q] := chain;
        END LOOP;
    END LOOP;

    o_first := head + 1;
    IF NOT plain OR refused THEN
        o_numbers := coalesce(o_numbers, array_fill(NULL::bigint, ARRAY[n]));
        FOR q IN 1..m LOOP
            IF line_numbers[q] IS NOT NULL THEN
                verdicts[p_ints[5 * q - 2]] := 'posted';
                o_numbers[p_ints[5 * q - 2]] := line_numbers[q];
            END IF;
        END LOOP;
        o_verdicts := verdicts;
    END IF;

    IF number > head THEN
        INSERT INTO bank.journal_lines (
            number, amount, debit_after, credit_after, occurred_at, recorded_at, reverses, community_id,
            policy_version, debit, credit, kind, source_kind, expires_on, line, id, source_id, actor_ref,
            subject_ref, hash, debit_before, credit_before)
        SELECT line_numbers[g.i], p_amounts[g.i], debit_afters[g.i], credit_afters[g.i], p_occurred[g.i],
               coalesce(p_recorded[g.i], at), p_reverses[g.i], p_community, p_ints[5 * g.i],
               numbers_of[p_ints[5 * g.i - 4]], numbers_of[p_ints[5 * g.i - 3]],
               p_kinds[2 * g.i - 1]::bank.entry_kind, p_kinds[2 * g.i]::bank.source_kind, p_expires[g.i],
               p_ints[5 * g.i - 1], p_ids[g.i], p_refs[3 * g.i - 2], p_refs[3 * g.i - 1], p_refs[3 * g.i],
               hashes[g.i], debit_befores[g.i], credit_befores[g.i]
          FROM generate_series(1, m) AS g(i)
         WHERE line_numbers[g.i] IS NOT NULL;
        UPDATE bank.ledger_heads h SET entry_number = number, hash = chain, recorded_at = at
         WHERE h.community_id = p_community;
    END IF;

    IF refused OR NOT moved THEN
        IF NOT moved AND number = head THEN
            RETURN;
        END IF;
        UPDATE bank.balances b
           SET balance = balances[width_bucket(b.account_id, seen.accounts)],
               last_number = lasts[width_bucket(b.account_id, seen.accounts)]
         WHERE b.community_id = p_community AND b.account_id = ANY (p_accounts);
    ELSIF balances <> seen.afters OR lasts <> seen.last_afters THEN
        RAISE EXCEPTION 'the moves of a batch are not its lines' USING ERRCODE = 'check_violation';
    END IF;
END
$$;

-- Say what is wrong with a line that cannot be recorded whatever the balances are.
CREATE FUNCTION bank.refuse_line(
    p_one_commodity boolean, p_numbered boolean, p_policy integer, p_policies integer
)
RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF p_one_commodity IS NOT TRUE THEN
        RAISE EXCEPTION 'a line moves one commodity' USING ERRCODE = 'check_violation';
    ELSIF p_numbered IS NOT TRUE THEN
        RAISE EXCEPTION 'entries, and the lines of each, are numbered 1, 2, …' USING ERRCODE = 'check_violation';
    ELSIF p_policy BETWEEN 1 AND p_policies THEN
        RAISE EXCEPTION 'a reversal, and nothing else, names the entry it takes back'
            USING ERRCODE = 'check_violation';
    END IF;
    RAISE EXCEPTION 'there is no policy version %', p_policy USING ERRCODE = 'foreign_key_violation';
END
$$;

-- Tell whether lines p_first to p_last of a batch ask for what entry p_number once asked for: 'already' or 'key_reused'.
-- When it happened and who acted may differ: a retry may be built later and sent by somebody else.
CREATE FUNCTION bank.same_request(
    p_community integer, p_number bigint, p_first integer, p_last integer, p_numbers integer[], p_ints integer[],
    p_refs uuid[],
    p_kinds text[], p_amounts bigint[], p_expires date[], p_reverses bigint[]
)
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    RETURN CASE WHEN EXISTS (
        SELECT 1
          FROM (SELECT p_ints[5 * g.i - 1] AS line, p_numbers[p_ints[5 * g.i - 4]] AS debit,
                       p_numbers[p_ints[5 * g.i - 3]] AS credit, p_amounts[g.i] AS amount,
                       p_kinds[2 * g.i - 1] AS kind, p_kinds[2 * g.i] AS source_kind,
                       p_refs[3 * g.i - 2] AS source, p_refs[3 * g.i] AS subject, p_ints[5 * g.i] AS policy,
                       p_expires[g.i] AS expires, p_reverses[g.i] AS reverses
                  FROM generate_series(p_first, p_last) AS g(i)) a
          FULL JOIN (SELECT * FROM bank.journal_lines x
                      WHERE x.community_id = p_community AND x.number = p_number) l ON l.line = a.line
         WHERE (a.debit, a.credit, a.amount, a.kind, a.source_kind, a.source, a.subject, a.policy, a.expires,
                a.reverses)
               IS DISTINCT FROM
               (l.debit, l.credit, l.amount, l.kind::text, l.source_kind::text, l.source_id, l.subject_ref,
                l.policy_version, l.expires_on, l.reverses))
        THEN 'key_reused' ELSE 'already' END;
END
$$;

-- Verdicts on the reversals of a batch: each takes back an entry that can be taken back, once, from the
-- accounts that it gave to and no more than it gave.
CREATE FUNCTION bank.judge_reversals(
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

-- Verdicts on the captures and voids of a batch by the holds they end. A capture counts as of when the
-- fulfilment was told (occurred_at), whether or not a sweep has seen the hold's time pass.
CREATE FUNCTION bank.judge_holds(
    p_community integer, p_verdicts text[], p_ints integer[], p_refs uuid[], p_kinds text[], p_amounts bigint[],
    p_occurred timestamptz[], p_holds uuid[]
)
RETURNS text[] LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    r record;
    hold record;
BEGIN
    FOR r IN SELECT g.i, lead(g.i, 1, cardinality(p_amounts) + 1) OVER (ORDER BY g.i) - 1 AS last,
                    p_ints[5 * g.i - 2] AS entry, p_kinds[2 * g.i - 1] AS kind, p_holds[g.i] AS hold,
                    p_occurred[g.i] AS told, p_refs[3 * g.i - 2] AS source, p_refs[3 * g.i] AS subject
               FROM generate_series(1, cardinality(p_occurred)) AS g(i) WHERE p_ints[5 * g.i - 1] = 1 LOOP
        IF (r.kind IN ('capture', 'void')) <> (r.hold IS NOT NULL) THEN
            RAISE EXCEPTION 'a capture or void, and nothing else, names the hold it ends'
                USING ERRCODE = 'check_violation';
        END IF;
        CONTINUE WHEN r.hold IS NULL OR p_verdicts[r.entry] IS NOT NULL;
        SELECT h.state, h.expires_at, h.source_id, h.member_ref, h.amount INTO hold FROM bank.holds h
         WHERE h.community_id = p_community AND h.id = r.hold;
        p_verdicts[r.entry] := CASE
            WHEN NOT FOUND OR hold.source_id <> r.source OR hold.member_ref <> r.subject THEN 'no_hold'
            WHEN hold.amount <> (SELECT sum(p_amounts[g.i]) FROM generate_series(r.i, r.last) AS g(i))
                THEN 'not_the_hold'
            WHEN hold.state <> 'open' THEN 'hold_ended'
            WHEN r.kind = 'capture' AND r.told >= hold.expires_at THEN 'hold_expired'
            END;
    END LOOP;
    RETURN p_verdicts;
END
$$;

-- One line in sixteen, chosen by its number alone, is in the index of the accounts it touches: a mark from which
-- an account's history is followed back.

-- The lines of an account, newest first: entries up to p_through and after p_after, p_limit lines at most.
-- Every line tells the entry before it in the histories of both its accounts. The walk begins at the first mark
-- behind p_through, or at the account's last entry where there is none: it takes as many look-ups as there are
-- lines to return, and sixteen or so to get there, however long the history is.
CREATE FUNCTION bank.account_lines(
    p_community integer, p_account integer, p_through bigint, p_after bigint, p_limit bigint DEFAULT NULL
)
RETURNS SETOF bank.journal_lines LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    start bigint;
BEGIN
    start := least(
        (SELECT l.number FROM bank.journal_lines l
          WHERE l.community_id = p_community AND l.debit = p_account AND l.number > p_through
            AND (hashint8(l.number) & 15) = 0
          ORDER BY l.number LIMIT 1),
        (SELECT l.number FROM bank.journal_lines l
          WHERE l.community_id = p_community AND l.credit = p_account AND l.number > p_through
            AND (hashint8(l.number) & 15) = 0
          ORDER BY l.number LIMIT 1));
    IF start IS NULL THEN
        SELECT b.last_number INTO start FROM bank.accounts a
          JOIN bank.balances b ON b.community_id = p_community AND b.account_id = a.id
         WHERE a.community_id = p_community AND a.number = p_account;
    END IF;
    RETURN QUERY
        WITH RECURSIVE walk AS (
            SELECT start AS number
            UNION ALL
            SELECT (SELECT CASE WHEN l.debit = p_account THEN l.debit_before ELSE l.credit_before END
                      FROM bank.journal_lines l
                     WHERE l.community_id = p_community AND l.number = w.number
                       AND (l.debit = p_account AND l.debit_before < l.number  -- never in a circle
                            OR l.credit = p_account AND l.credit_before < l.number) LIMIT 1)
              FROM walk w WHERE w.number > p_after)
        SELECT l.*
          FROM walk w
         CROSS JOIN LATERAL (
               SELECT x.* FROM bank.journal_lines x
                WHERE x.community_id = p_community AND x.number = w.number
                  AND (x.debit = p_account OR x.credit = p_account)
                ORDER BY x.line DESC OFFSET 0) l
         WHERE w.number > p_after AND w.number <= p_through
         LIMIT p_limit;
END
$$;

-- The first p_limit lines of an account after entry p_after, up to p_through, oldest first. How far on they
-- reach is told by the marks: so many that twice the lines are likely among them; where they were fewer after
-- all, twice as far.
CREATE FUNCTION bank.account_page(
    p_community integer, p_account integer, p_after bigint, p_through bigint, p_limit integer
)
RETURNS SETOF bank.journal_lines LANGUAGE plpgsql STABLE
SET search_path = pg_catalog SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    marks integer := p_limit / 8 + 2;
    reach bigint;
    found integer;
BEGIN
    LOOP
        SELECT max(s.number), count(*) INTO reach, found FROM (
            (SELECT DISTINCT l.number FROM bank.journal_lines l
              WHERE l.community_id = p_community AND l.debit = p_account AND l.number > p_after
                AND l.number <= p_through AND (hashint8(l.number) & 15) = 0
              ORDER BY l.number LIMIT marks)
            UNION
            (SELECT DISTINCT l.number FROM bank.journal_lines l
              WHERE l.community_id = p_community AND l.credit = p_account AND l.number > p_after
                AND l.number <= p_through AND (hashint8(l.number) & 15) = 0
              ORDER BY l.number LIMIT marks)
            ORDER BY 1 LIMIT marks) s;
        IF found < marks THEN
            reach := p_through;
        END IF;
        IF reach = p_through OR (
            SELECT count(*) FROM bank.account_lines(p_community, p_account, reach, p_after, p_limit)) = p_limit
        THEN
            EXIT;
        END IF;
        marks := marks * 2;
    END LOOP;
    RETURN QUERY
        SELECT * FROM bank.account_lines(p_community, p_account, reach, p_after) l
         ORDER BY l.number, l.line LIMIT p_limit;
END
$$;

-- What an account had once entry p_number had been recorded (its unit; null when it had not been used).
CREATE OR REPLACE FUNCTION bank.balance_at(p_community integer, p_account integer, p_number bigint)
RETURNS bigint LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET enable_seqscan = off AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN l.debit = p_account THEN l.debit_after ELSE l.credit_after END
          FROM bank.account_lines(p_community, p_account, p_number, 0, 1) l);
END
$$;

REVOKE ALL ON FUNCTION bank.apply_entries, bank.refuse_line, bank.same_request, bank.judge_reversals, bank.judge_holds,
    bank.account_lines, bank.account_page FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bank.apply_entries, bank.account_lines, bank.account_page TO pointsbank_app;
