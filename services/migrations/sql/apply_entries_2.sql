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
-- o_verdicts is null when everything was posted: then the numbers are o_first, o_first + 1, …
--
-- Columns come packed by type, one element or a few for each line, because every array costs a fixed time:
--   p_accounts  the accounts of the batch, ascending, each once
--   p_ints      debit's place in p_accounts, credit's place, entry (1, 2, …), line (1, 2, …), policy
--   p_ids       id, source, actor, subject
--   p_kinds     kind, source kind
--   p_amounts, p_occurred; and where any line has one, else null: p_expires, p_reverses, p_holds (which the
--   entry ends), p_links (entries of one number in a row are all posted or none), p_recorded (a journal
--   brought in again keeps its moments); p_tell: say by a notice when the head row has been
--   taken and every account found
--
-- Every table is reached by a key that leads with community_id, by look-ups that no statistics of a table
-- that was empty when the plan was made can turn into scans: LIMIT 1 keeps the look-up of each element apart,
-- balances have one index only, and width_bucket finds an account's place without a join.

CREATE FUNCTION bank.apply_entries(
    p_community integer,
    p_recorded_at timestamptz,
    p_accounts uuid[],
    p_ints integer[],
    p_ids uuid[],
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
    head record;
    seen record;
    r record;
    i integer;          -- first line of the group being judged
    e integer;          -- its last line
    q integer;
    place integer;
    debit integer;
    credit integer;
    amount bigint;
    entry integer;
    posted integer := 0;
    low boolean;        -- an account passed its floor on the way
    worst integer;      -- the account that is below its floor where an entry leaves it
    special boolean := false;  -- some verdicts were given before the judging
    refused boolean := false;
    at timestamptz;
    numbers_of integer[];
    balances bigint[];
    floors bigint[];
    commodities text[];
    verdicts text[];
    line_numbers bigint[];
    debit_afters bigint[];
    credit_afters bigint[];
    hashes bytea[];
    chain bytea;
BEGIN
    -- Outside any unit of work none is set: a gathered batch is a statement by itself.
    IF nullif(current_setting('pointsbank.community_id', true), '') <> p_community::text THEN
        RAISE EXCEPTION 'unit of work is for another community' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF m IS NULL OR m NOT BETWEEN 1 AND 20000 OR n NOT BETWEEN 1 AND 5000 THEN
        RAISE EXCEPTION 'a batch holds 1 to 5000 entries of 20000 lines at most' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    IF cardinality(p_ints) <> 5 * m OR cardinality(p_ids) <> 4 * m OR cardinality(p_kinds) <> 2 * m
       OR cardinality(p_occurred) <> m OR p_ints[3] <> 1 OR p_ints[4] <> 1 THEN
        RAISE EXCEPTION 'the columns of a batch do not fit together' USING ERRCODE = 'check_violation';
    END IF;
    IF p_recorded_at > clock_timestamp() + interval '1 minute' THEN
        RAISE EXCEPTION 'recorded in the future' USING ERRCODE = 'check_violation';
    END IF;
    IF p_holds IS NULL AND ('capture' = ANY (p_kinds) OR 'void' = ANY (p_kinds)) THEN
        RAISE EXCEPTION 'a capture or void names the hold it ends' USING ERRCODE = 'check_violation';
    END IF;

    SELECT h.entry_number, h.hash, h.recorded_at INTO head
      FROM bank.ledger_heads h WHERE h.community_id = p_community FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the community has no ledger' USING ERRCODE = 'foreign_key_violation';
    END IF;

    -- A record keeps its arrays flat, which width_bucket below needs to be quick.
    SELECT p_accounts AS accounts, array_agg(b.account_id) AS ids, array_agg(b.account_number) AS numbers,
           array_agg(b.balance) AS balances, array_agg(b.floor) AS floors, array_agg(b.commodity) AS commodities,
           (SELECT max(v.version) FROM bank.policy_versions v WHERE v.community_id = p_community) AS policies,
           (SELECT array_agg(k.entry || ':' || k.number)
              FROM (SELECT p_ints[5 * g.i - 2] AS entry, l.number
                      FROM generate_series(1, m) AS g(i)
                     CROSS JOIN LATERAL (SELECT x.number FROM bank.journal_lines x
                                          WHERE x.community_id = p_community AND x.id = p_ids[4 * g.i - 3]
                                          LIMIT 1) l
                     WHERE p_ints[5 * g.i - 1] = 1) k) AS known
      INTO seen
      FROM (SELECT a.account_id, a.account_number, a.balance, a.floor, a.commodity::text AS commodity
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
    IF p_tell THEN
        -- From here on this batch is judged and recorded, or fails. Sent at once, not with the answer: whoever waits to send the next batch knows that it cannot overtake.
        RAISE NOTICE USING MESSAGE = 'head taken';
    END IF;

    numbers_of := seen.numbers;
    balances := seen.balances;
    floors := seen.floors;
    commodities := seen.commodities;

    verdicts := array_fill(NULL::text, ARRAY[n]);
    o_numbers := array_fill(NULL::bigint, ARRAY[n]);
    IF seen.known IS NOT NULL THEN
        special := true;
        FOR r IN SELECT split_part(k, ':', 1)::integer AS entry, split_part(k, ':', 2)::bigint AS number
                   FROM unnest(seen.known) AS k LOOP
            verdicts[r.entry] := bank.same_request(p_community, r.number, r.entry, numbers_of, p_ints, p_ids,
                                                   p_kinds, p_amounts, p_expires, p_reverses);
            o_numbers[r.entry] := r.number;
        END LOOP;
    END IF;
    IF p_reverses IS NOT NULL THEN
        special := true;
        verdicts := bank.judge_reversals(p_community, verdicts, numbers_of, p_ints, p_amounts, p_reverses);
    END IF;
    IF p_holds IS NOT NULL THEN
        special := true;
        verdicts := bank.judge_holds(p_community, verdicts, p_ints, p_ids, p_kinds, p_amounts, p_occurred, p_holds);
    END IF;

    line_numbers := array_fill(NULL::bigint, ARRAY[m]);
    debit_afters := p_amounts;
    credit_afters := p_amounts;
    hashes := array_fill(NULL::bytea, ARRAY[m]);
    chain := head.hash;
    at := CASE WHEN p_recorded IS NULL THEN greatest(p_recorded_at, head.recorded_at)
               WHEN head.entry_number = 0 THEN '-infinity' ELSE head.recorded_at END;

    i := 1;
    WHILE i <= m LOOP
        -- The group: the lines of one entry, or of the entries linked with it.
        e := i;
        IF p_links IS NULL THEN
            WHILE e < m AND p_ints[5 * e + 3] = p_ints[5 * e - 2] LOOP
                e := e + 1;
            END LOOP;
        ELSE
            WHILE e < m AND (p_ints[5 * e + 3] = p_ints[5 * e - 2] OR p_links[e + 1] = p_links[e]) LOOP
                e := e + 1;
            END LOOP;
        END IF;
        IF special THEN
            worst := 0;  -- how many entries of the group have a verdict already
            FOR q IN i..e LOOP
                IF p_ints[5 * q - 1] = 1 AND verdicts[p_ints[5 * q - 2]] IS NOT NULL THEN
                    worst := worst + 1;
                END IF;
            END LOOP;
            IF worst > 0 THEN
                refused := true;
                FOR q IN i..e LOOP
                    IF verdicts[p_ints[5 * q - 2]] IS NULL THEN
                        verdicts[p_ints[5 * q - 2]] := 'linked';
                    END IF;
                END LOOP;
                i := e + 1;
                CONTINUE;
            END IF;
        END IF;

        q := i;
        worst := NULL;
        low := false;
        LOOP
            debit := p_ints[5 * q - 4];
            credit := p_ints[5 * q - 3];
            amount := balances[credit] - p_amounts[q];
            IF commodities[debit] <> commodities[credit] THEN
                RAISE EXCEPTION 'a line moves one commodity' USING ERRCODE = 'check_violation';
            END IF;
            balances[credit] := amount;
            credit_afters[q] := amount;
            IF amount < floors[credit] THEN
                low := true;
            END IF;
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
        ELSE
            FOR q IN i..e LOOP
                IF p_ints[5 * q - 1] = 1 THEN
                    posted := posted + 1;
                    IF p_ints[5 * q] > seen.policies OR p_ints[5 * q] < 1 OR seen.policies IS NULL THEN
                        RAISE EXCEPTION 'there is no policy version %', p_ints[5 * q]
                            USING ERRCODE = 'foreign_key_violation';
                    END IF;
                    IF p_recorded IS NOT NULL THEN
                        IF p_recorded[q] > clock_timestamp() + interval '1 minute' THEN
                            RAISE EXCEPTION 'recorded in the future' USING ERRCODE = 'check_violation';
                        END IF;
                        IF p_recorded[q] < at THEN
                            RAISE EXCEPTION 'recorded before the entry before it' USING ERRCODE = 'check_violation';
                        END IF;
                        at := p_recorded[q];
                    END IF;
                ELSIF p_ints[5 * q - 1] <> p_ints[5 * q - 6] + 1
                      OR p_ints[5 * q - 2] <> p_ints[5 * q - 7] OR p_ints[5 * q] <> p_ints[5 * q - 5]
                      OR p_ids[4 * q - 3:4 * q] <> p_ids[4 * q - 7:4 * q - 4]
                      OR p_kinds[2 * q - 1:2 * q] <> p_kinds[2 * q - 3:2 * q - 2]
                      OR p_occurred[q] <> p_occurred[q - 1]
                      OR p_reverses[q] IS DISTINCT FROM p_reverses[q - 1]
                      OR p_holds[q] IS DISTINCT FROM p_holds[q - 1] THEN
                    -- What is judged by its first line must be said by every line.
                    RAISE EXCEPTION 'the lines of an entry follow one another and say the same of it'
                        USING ERRCODE = 'check_violation';
                END IF;
                line_numbers[q] := head.entry_number + posted;
                chain := sha256(chain || sha256(record_send(ROW(
                    1::smallint, p_community, head.entry_number + posted, p_ints[5 * q - 1]::smallint,
                    p_ids[4 * q - 3], p_kinds[2 * q - 1], p_kinds[2 * q], p_ids[4 * q - 2], p_ids[4 * q - 1],
                    p_ids[4 * q], p_ints[5 * q], p_occurred[q], at, p_reverses[q],
                    p_accounts[p_ints[5 * q - 4]], p_accounts[p_ints[5 * q - 3]], p_amounts[q],
                    debit_afters[q], credit_afters[q], p_expires[q]))));
                hashes[q] := chain;
            END LOOP;
        END IF;
        i := e + 1;
    END LOOP;

    IF NOT special AND NOT refused AND posted <> n THEN
        RAISE EXCEPTION 'entries are numbered 1, 2, …' USING ERRCODE = 'check_violation';
    END IF;
    o_first := head.entry_number + 1;
    IF special OR refused THEN
        FOR q IN 1..m LOOP
            IF line_numbers[q] IS NOT NULL THEN
                verdicts[p_ints[5 * q - 2]] := 'posted';
                o_numbers[p_ints[5 * q - 2]] := line_numbers[q];
            END IF;
        END LOOP;
        o_verdicts := verdicts;
    ELSE
        o_numbers := NULL;
    END IF;
    IF posted = 0 THEN
        RETURN;
    END IF;

    INSERT INTO bank.journal_lines (
        number, amount, debit_after, credit_after, occurred_at, recorded_at, reverses, community_id,
        policy_version, debit, credit, kind, source_kind, expires_on, line, id, source_id, actor_ref,
        subject_ref, hash)
    SELECT line_numbers[g.i], p_amounts[g.i], debit_afters[g.i], credit_afters[g.i], p_occurred[g.i],
           coalesce(p_recorded[g.i], at), p_reverses[g.i], p_community, p_ints[5 * g.i],
           numbers_of[p_ints[5 * g.i - 4]], numbers_of[p_ints[5 * g.i - 3]],
           p_kinds[2 * g.i - 1]::bank.entry_kind, p_kinds[2 * g.i]::bank.source_kind, p_expires[g.i],
           p_ints[5 * g.i - 1], p_ids[4 * g.i - 3], p_ids[4 * g.i - 2], p_ids[4 * g.i - 1], p_ids[4 * g.i],
           hashes[g.i]
      FROM generate_series(1, m) AS g(i)
     WHERE line_numbers[g.i] IS NOT NULL;

    UPDATE bank.balances b SET balance = balances[width_bucket(b.account_id, seen.accounts)]
     WHERE b.community_id = p_community AND b.account_id = ANY (p_accounts);

    UPDATE bank.ledger_heads h
       SET entry_number = head.entry_number + posted, hash = chain, recorded_at = at
     WHERE h.community_id = p_community;
END
$$;

-- Tell whether entry p_entry of a batch asks for what entry p_number once asked for: 'already' or 'key_reused'.
-- When it happened and who acted may differ: a retry may be built later and sent by somebody else.
CREATE FUNCTION bank.same_request(
    p_community integer, p_number bigint, p_entry integer, p_numbers integer[], p_ints integer[], p_ids uuid[],
    p_kinds text[], p_amounts bigint[], p_expires date[], p_reverses bigint[]
)
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
    RETURN CASE WHEN EXISTS (
        SELECT 1
          FROM (SELECT p_ints[5 * g.i - 1] AS line, p_numbers[p_ints[5 * g.i - 4]] AS debit,
                       p_numbers[p_ints[5 * g.i - 3]] AS credit, p_amounts[g.i] AS amount,
                       p_kinds[2 * g.i - 1] AS kind, p_kinds[2 * g.i] AS source_kind,
                       p_ids[4 * g.i - 2] AS source, p_ids[4 * g.i] AS subject, p_ints[5 * g.i] AS policy,
                       p_expires[g.i] AS expires, p_reverses[g.i] AS reverses
                  FROM generate_series(1, cardinality(p_amounts)) AS g(i)
                 WHERE p_ints[5 * g.i - 2] = p_entry) a
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
    FOR r IN SELECT g.i, p_ints[5 * g.i - 2] AS entry, p_reverses[g.i] AS number
               FROM generate_series(1, cardinality(p_amounts)) AS g(i)
              WHERE p_reverses[g.i] IS NOT NULL AND p_ints[5 * g.i - 1] = 1 ORDER BY g.i LOOP
        CONTINUE WHEN p_verdicts[r.entry] IS NOT NULL;
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
                          FROM generate_series(1, cardinality(p_amounts)) AS g(i)
                         WHERE p_ints[5 * g.i - 2] = r.entry GROUP BY 1) back
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
    p_community integer, p_verdicts text[], p_ints integer[], p_ids uuid[], p_kinds text[], p_amounts bigint[],
    p_occurred timestamptz[], p_holds uuid[]
)
RETURNS text[] LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    r record;
    hold record;
BEGIN
    FOR r IN SELECT p_ints[5 * g.i - 2] AS entry, p_kinds[2 * g.i - 1] AS kind, p_holds[g.i] AS hold,
                    p_occurred[g.i] AS told, p_ids[4 * g.i - 2] AS source, p_ids[4 * g.i] AS subject
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
            WHEN hold.amount <> (SELECT sum(p_amounts[g.i]) FROM generate_series(1, cardinality(p_amounts)) AS g(i)
                                  WHERE p_ints[5 * g.i - 2] = r.entry) THEN 'not_the_hold'
            WHEN hold.state <> 'open' THEN 'hold_ended'
            WHEN r.kind = 'capture' AND r.told >= hold.expires_at THEN 'hold_expired'
            END;
    END LOOP;
    RETURN p_verdicts;
END
$$;

-- Open accounts that are not open yet, with a balance of zero. Each gets the community's next number, under
-- the same lock that posting takes.
CREATE FUNCTION bank.open_accounts(
    p_community integer, p_at timestamptz, p_ids uuid[], p_kinds text[], p_owners uuid[], p_commodities text[],
    p_floors bigint[]
)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog SET enable_seqscan = off AS $$
DECLARE
    last integer;
    opened integer;
BEGIN
    IF nullif(current_setting('pointsbank.community_id', true), '') <> p_community::text THEN
        RAISE EXCEPTION 'unit of work is for another community' USING ERRCODE = 'insufficient_privilege';
    END IF;
    SELECT h.account_number INTO last FROM bank.ledger_heads h WHERE h.community_id = p_community FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the community has no ledger' USING ERRCODE = 'foreign_key_violation';
    END IF;
    INSERT INTO bank.accounts (community_id, id, number, kind, owner_ref, commodity, floor, opened_at)
    SELECT p_community, p_ids[g.i], last + row_number() OVER (ORDER BY g.i), p_kinds[g.i], p_owners[g.i],
           p_commodities[g.i], p_floors[g.i], p_at
      FROM generate_series(1, cardinality(p_ids)) AS g(i)
     WHERE NOT EXISTS (SELECT 1 FROM bank.accounts a WHERE a.community_id = p_community AND a.id = p_ids[g.i] OFFSET 0);
    GET DIAGNOSTICS opened = ROW_COUNT;
    INSERT INTO bank.balances (community_id, account_id, account_number, floor, commodity)
    SELECT a.community_id, a.id, a.number, a.floor, a.commodity FROM bank.accounts a
     WHERE a.community_id = p_community AND a.number > last;
    UPDATE bank.ledger_heads h SET account_number = last + opened WHERE h.community_id = p_community;
END
$$;

-- The number of the last entry recorded before a moment; 0 when there is none. Moments ascend with numbers,
-- so that halving finds it in as many look-ups as the number has bits, without an index of its own.
CREATE FUNCTION bank.number_before(p_community integer, p_at timestamptz)
RETURNS bigint LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET enable_seqscan = off AS $$
DECLARE
    low bigint := 0;
    high bigint;
    middle bigint;
    recorded timestamptz;
BEGIN
    SELECT h.entry_number, h.recorded_at INTO high, recorded
      FROM bank.ledger_heads h WHERE h.community_id = p_community;
    IF high IS NULL OR high = 0 OR recorded < p_at THEN
        RETURN coalesce(high, 0);
    END IF;
    WHILE low < high LOOP
        middle := (low + high + 1) / 2;
        SELECT l.recorded_at INTO recorded FROM bank.journal_lines l
         WHERE l.community_id = p_community AND l.number = middle AND l.line = 1;
        IF recorded < p_at THEN
            low := middle;
        ELSE
            high := middle - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- What an account had once entry p_number had been recorded (its unit; null when it had not been used).
CREATE FUNCTION bank.balance_at(p_community integer, p_account integer, p_number bigint)
RETURNS bigint LANGUAGE plpgsql STABLE SET search_path = pg_catalog SET enable_seqscan = off AS $$
DECLARE
    given bigint;
    taken bigint;
BEGIN
    -- First the entry, then its line: ordered by both, a plan made on an empty table takes the primary key
    -- and reads the journal backwards.
    SELECT l.number INTO given FROM bank.journal_lines l
     WHERE l.community_id = p_community AND l.debit = p_account AND l.number <= p_number
     ORDER BY l.number DESC LIMIT 1;
    SELECT l.number INTO taken FROM bank.journal_lines l
     WHERE l.community_id = p_community AND l.credit = p_account AND l.number <= p_number
     ORDER BY l.number DESC LIMIT 1;
    RETURN (
        SELECT CASE WHEN l.debit = p_account THEN l.debit_after ELSE l.credit_after END
          FROM bank.journal_lines l
         WHERE l.community_id = p_community AND l.number = greatest(given, taken)
           AND (l.debit = p_account OR l.credit = p_account)
         ORDER BY l.line DESC LIMIT 1);
END
$$;
