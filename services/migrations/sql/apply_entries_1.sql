-- The one way into the journal. Takes a community's head row (its one lock), gives every entry of the
-- batch a verdict in order, and records the accepted ones as one block of the hash chain.
--
-- Verdicts: posted · already (same key, same request: the first result) · key_reused (same key, another
-- request) · floor (an account would pass its floor; o_account and o_available say which and what it had)
-- · unknown_account (nothing of the batch was tried: open the accounts and send it again; the others say
-- not_tried) · already_reversed · not_reversible (only an earning is).
--
-- Every table is reached by a key that leads with community_id, in one statement without joining two
-- growing tables, so that plans cached on an empty table stay index look-ups.

CREATE FUNCTION bank.lp(bytes bytea) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN int4send(length(bytes)) || bytes;

CREATE FUNCTION bank.micros(at timestamptz) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN int8send((extract(epoch FROM at) * 1000000)::bigint);

CREATE FUNCTION bank.apply_entries(
    p_community integer,
    p_recorded_at timestamptz,
    p_ids uuid[],
    p_kinds text[],
    p_source_kinds text[],
    p_source_ids uuid[],
    p_actors uuid[],
    p_subjects uuid[],
    p_policies integer[],
    p_occurred timestamptz[],
    p_keys text[],
    p_fingerprints bytea[],
    p_reverses bigint[],
    p_leg_entries integer[],
    p_leg_accounts uuid[],
    p_leg_amounts bigint[]
)
RETURNS TABLE (o_place integer, o_verdict text, o_number bigint, o_account uuid, o_available bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    n integer := cardinality(p_ids);
    head record;
    r record;
    i integer;
    j integer;
    k integer;
    at_risk boolean;
    recorded timestamptz;
    block bigint;
    new_hash bytea;
    v text[] := array_fill(NULL::text, ARRAY[n]);
    nums bigint[] := array_fill(NULL::bigint, ARRAY[n]);
    bad_account uuid[] := array_fill(NULL::uuid, ARRAY[n]);
    bad_available bigint[] := array_fill(NULL::bigint, ARRAY[n]);
    -- accounts of the batch, aligned: id, commodity, floor, balance, and the batch's effect
    a_ids uuid[];
    a_commodities text[];
    a_floors bigint[];
    a_balances bigint[];
    leg_at integer[];           -- posting → its account's place in a_ids
    first_leg integer[];        -- entry → its first posting's place
    working bigint[];
    legs bytea[];
    leaves bytea[];
    l_entries integer[];
    l_lines integer[];
    l_afters bigint[];
BEGIN
    IF current_setting('pointsbank.community_id', true) IS DISTINCT FROM p_community::text THEN
        RAISE EXCEPTION 'unit of work is for another community' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF n NOT BETWEEN 1 AND 5000 THEN
        RAISE EXCEPTION 'a batch holds 1 to 5000 entries' USING ERRCODE = 'program_limit_exceeded';
    END IF;
    IF (SELECT count(DISTINCT u.entry) FROM unnest(p_leg_entries) AS u(entry)) <> n THEN
        RAISE EXCEPTION 'every entry has postings' USING ERRCODE = 'check_violation';
    END IF;
    IF p_recorded_at > clock_timestamp() + interval '1 minute' THEN
        RAISE EXCEPTION 'recorded in the future' USING ERRCODE = 'check_violation';
    END IF;

    SELECT h.entry_number, h.block_number, h.hash, h.algorithm, h.recorded_at INTO head
      FROM bank.ledger_heads h WHERE h.community_id = p_community FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the community has no ledger' USING ERRCODE = 'foreign_key_violation';
    END IF;
    recorded := greatest(p_recorded_at, head.recorded_at);

    FOR r IN SELECT e.key, e.number, e.fingerprint FROM bank.journal_entries e
              WHERE e.community_id = p_community AND e.key = ANY (p_keys) LOOP
        i := array_position(p_keys, r.key);
        v[i] := CASE WHEN r.fingerprint = p_fingerprints[i] THEN 'already' ELSE 'key_reused' END;
        nums[i] := r.number;
    END LOOP;
    FOR r IN SELECT e.reverses FROM bank.journal_entries e
              WHERE e.community_id = p_community AND e.reverses = ANY (p_reverses) LOOP
        i := array_position(p_reverses, r.reverses);
        v[i] := coalesce(v[i], 'already_reversed');
    END LOOP;
    FOR i IN 1..n LOOP
        CONTINUE WHEN p_reverses[i] IS NULL OR v[i] IS NOT NULL;
        IF NOT EXISTS (SELECT 1 FROM bank.journal_entries e
                        WHERE e.community_id = p_community AND e.number = p_reverses[i] AND e.kind = 'earning') THEN
            v[i] := 'not_reversible';
        END IF;
        IF array_position(p_reverses, p_reverses[i]) < i THEN
            v[i] := coalesce(v[i], 'already_reversed');
        END IF;
    END LOOP;

    SELECT array_agg(b.account_id ORDER BY b.account_id), array_agg(b.commodity::text ORDER BY b.account_id),
           array_agg(b.floor ORDER BY b.account_id), array_agg(b.balance ORDER BY b.account_id)
      INTO a_ids, a_commodities, a_floors, a_balances
      FROM bank.balances b
     WHERE b.community_id = p_community
       AND b.account_id = ANY (ARRAY(SELECT DISTINCT unnest(p_leg_accounts)));

    -- A merge of two sorted lists gives every posting its account's place.
    leg_at := array_fill(NULL::integer, ARRAY[cardinality(p_leg_accounts)]);
    k := 1;
    FOR r IN SELECT u.account, u.place::integer AS place
               FROM unnest(p_leg_accounts) WITH ORDINALITY AS u(account, place) ORDER BY u.account LOOP
        WHILE k <= coalesce(cardinality(a_ids), 0) AND a_ids[k] < r.account LOOP
            k := k + 1;
        END LOOP;
        IF k <= coalesce(cardinality(a_ids), 0) AND a_ids[k] = r.account THEN
            leg_at[r.place] := k;
        ELSE
            i := p_leg_entries[r.place];
            IF v[i] IS NULL THEN
                v[i] := 'unknown_account';
                bad_account[i] := r.account;
            END IF;
        END IF;
    END LOOP;

    IF 'unknown_account' = ANY (v) THEN
        RETURN QUERY
        SELECT g::integer, coalesce(v[g], 'not_tried'), nums[g], bad_account[g], NULL::bigint
          FROM generate_series(1, n) AS g;
        RETURN;
    END IF;

    SELECT coalesce(bool_or(a_balances[t.at] + t.running < a_floors[t.at]), false) INTO at_risk
      FROM (SELECT leg_at[u.place] AS at,
                   sum(u.amount) OVER (PARTITION BY leg_at[u.place] ORDER BY u.entry) AS running
              FROM unnest(p_leg_entries, p_leg_amounts) WITH ORDINALITY AS u(entry, amount, place)
             WHERE v[u.entry] IS NULL) t;

    IF at_risk THEN
        -- Exact pass, in order: an entry that would pass a floor is refused and leaves no trace, so that
        -- its neighbours are judged as if it had never been sent.
        working := a_balances;
        first_leg := array_fill(NULL::integer, ARRAY[n + 1]);
        FOR j IN REVERSE cardinality(p_leg_entries)..1 LOOP
            first_leg[p_leg_entries[j]] := j;
        END LOOP;
        FOR i IN 1..n LOOP
            CONTINUE WHEN v[i] IS NOT NULL;
            j := first_leg[i];
            WHILE j <= cardinality(p_leg_entries) AND p_leg_entries[j] = i LOOP
                working[leg_at[j]] := working[leg_at[j]] + p_leg_amounts[j];
                j := j + 1;
            END LOOP;
            k := first_leg[i];
            WHILE k < j LOOP
                IF working[leg_at[k]] < a_floors[leg_at[k]] THEN
                    v[i] := 'floor';
                    bad_account[i] := a_ids[leg_at[k]];
                    EXIT;
                END IF;
                k := k + 1;
            END LOOP;
            IF v[i] = 'floor' THEN
                k := first_leg[i];
                WHILE k < j LOOP
                    working[leg_at[k]] := working[leg_at[k]] - p_leg_amounts[k];
                    k := k + 1;
                END LOOP;
                bad_available[i] := working[array_position(a_ids, bad_account[i])];
            END IF;
        END LOOP;
    END IF;

    k := 0;
    FOR i IN 1..n LOOP
        IF v[i] IS NULL THEN
            k := k + 1;
            v[i] := 'posted';
            nums[i] := head.entry_number + k;
        END IF;
    END LOOP;

    IF k > 0 THEN
        block := head.block_number + 1;

        SELECT array_agg(t.entry ORDER BY t.place), array_agg(t.line ORDER BY t.place),
               array_agg(t.after ORDER BY t.place)
          INTO l_entries, l_lines, l_afters
          FROM (SELECT u.entry, u.place,
                       row_number() OVER (PARTITION BY u.entry ORDER BY u.place)::integer AS line,
                       (a_balances[leg_at[u.place]]
                        + sum(u.amount) OVER (PARTITION BY leg_at[u.place] ORDER BY u.place))::bigint AS after
                  FROM unnest(p_leg_entries, p_leg_amounts) WITH ORDINALITY AS u(entry, amount, place)
                 WHERE v[u.entry] = 'posted') t;

        -- From here on the postings of refused entries are gone; what is left keeps its order.
        SELECT array_agg(u.account ORDER BY u.place), array_agg(u.amount ORDER BY u.place),
               array_agg(leg_at[u.place] ORDER BY u.place)
          INTO p_leg_accounts, p_leg_amounts, leg_at
          FROM unnest(p_leg_entries, p_leg_accounts, p_leg_amounts)
               WITH ORDINALITY AS u(entry, account, amount, place)
         WHERE v[u.entry] = 'posted';

        SELECT array_agg(t.bytes ORDER BY t.entry) INTO legs
          FROM (SELECT u.entry,
                       string_agg(bank.lp(int4send(u.line)) || bank.lp(uuid_send(u.account))
                                  || bank.lp(convert_to(a_commodities[u.at], 'UTF8'))
                                  || bank.lp(int8send(u.amount)) || bank.lp(int8send(u.after)),
                                  ''::bytea ORDER BY u.line) AS bytes
                  FROM unnest(l_entries, l_lines, p_leg_accounts, p_leg_amounts, l_afters, leg_at)
                       AS u(entry, line, account, amount, after, at)
                 GROUP BY u.entry) t;

        SELECT array_agg(sha256(
                   bank.lp(convert_to('pointsbank-entry-1', 'UTF8')) || bank.lp(int4send(p_community))
                   || bank.lp(int8send(nums[e.place])) || bank.lp(uuid_send(e.id)) || bank.lp(int8send(block))
                   || bank.lp(convert_to(e.kind, 'UTF8')) || bank.lp(convert_to(e.source_kind, 'UTF8'))
                   || bank.lp(uuid_send(e.source_id)) || bank.lp(uuid_send(e.actor))
                   || bank.lp(uuid_send(e.subject)) || bank.lp(int4send(e.policy))
                   || bank.lp(bank.micros(e.occurred)) || bank.lp(bank.micros(recorded))
                   || bank.lp(convert_to(e.key, 'UTF8')) || bank.lp(e.fingerprint)
                   || bank.lp(coalesce(int8send(e.reverses), ''::bytea))
                   || legs[nums[e.place] - head.entry_number]) ORDER BY e.place)
          INTO leaves
          FROM unnest(p_ids, p_kinds, p_source_kinds, p_source_ids, p_actors, p_subjects, p_policies,
                      p_occurred, p_keys, p_fingerprints, p_reverses) WITH ORDINALITY
               AS e(id, kind, source_kind, source_id, actor, subject, policy, occurred, key, fingerprint,
                    reverses, place)
         WHERE v[e.place] = 'posted';

        SELECT sha256(head.hash || string_agg(u.leaf, ''::bytea ORDER BY u.place)) INTO new_hash
          FROM unnest(leaves) WITH ORDINALITY AS u(leaf, place);

        INSERT INTO bank.blocks (community_id, number, first_entry, last_entry, previous_hash, hash, algorithm,
                                 recorded_at)
        VALUES (p_community, block, head.entry_number + 1, head.entry_number + k, head.hash, new_hash,
                head.algorithm, recorded);

        INSERT INTO bank.journal_entries (community_id, number, id, block_number, kind, source_kind, source_id,
                                          actor_ref, subject_ref, policy_version, occurred_at, recorded_at, key,
                                          fingerprint, reverses, leaf_hash)
        SELECT p_community, nums[e.place], e.id, block, e.kind, e.source_kind, e.source_id, e.actor, e.subject,
               e.policy, e.occurred, recorded, e.key, e.fingerprint, e.reverses,
               leaves[nums[e.place] - head.entry_number]
          FROM unnest(p_ids, p_kinds, p_source_kinds, p_source_ids, p_actors, p_subjects, p_policies,
                      p_occurred, p_keys, p_fingerprints, p_reverses) WITH ORDINALITY
               AS e(id, kind, source_kind, source_id, actor, subject, policy, occurred, key, fingerprint,
                    reverses, place)
         WHERE v[e.place] = 'posted';

        INSERT INTO bank.postings (community_id, entry_number, line, account_id, commodity, amount, balance_after)
        SELECT p_community, nums[u.entry], u.line, u.account, a_commodities[u.at], u.amount, u.after
          FROM unnest(l_entries, l_lines, p_leg_accounts, p_leg_amounts, l_afters, leg_at)
               AS u(entry, line, account, amount, after, at);

        UPDATE bank.balances b SET balance = b.balance + d.delta
          FROM (SELECT u.account, sum(u.amount)::bigint AS delta
                  FROM unnest(p_leg_accounts, p_leg_amounts) AS u(account, amount)
                 GROUP BY u.account ORDER BY u.account) d
         WHERE b.community_id = p_community AND b.account_id = d.account;

        UPDATE bank.ledger_heads h
           SET entry_number = head.entry_number + k, block_number = block, hash = new_hash, recorded_at = recorded
         WHERE h.community_id = p_community;
    END IF;

    RETURN QUERY
    SELECT g::integer, v[g], nums[g], bad_account[g], bad_available[g] FROM generate_series(1, n) AS g;
END
$$;
