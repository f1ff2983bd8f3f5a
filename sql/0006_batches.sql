-- What a turn asks of the database where it begins and where it ends, as functions, and a procedure that takes many such
-- requests in one journey: to send each statement by itself took longer than the statements, and so did a flush to the
-- disk for each turn. Every function takes what is asked as one object and gives what came of it as another. They run as
-- cip_app with app.tenant_id set, like all that is done for a tenant, and name the tenant in every statement as well.

-- Takes one from each bucket of [{"name", "step_us", "span_us"}], or where one has none, from none of them; everybody takes
-- in the order given, so that no two wait for each other. Gives in how many microseconds each is full again: one that
-- refuses takes longer than its span.
create function take(tenant text, wanted jsonb) returns jsonb language plpgsql as $$
declare
  step interval;
  span_us bigint;
  full_in_us bigint;
  all_full_in_us jsonb := '[]';
  refused boolean := false;
begin
  for i in 0 .. jsonb_array_length(wanted) - 1 loop
    step := (wanted -> i ->> 'step_us')::bigint * interval '1 microsecond';
    span_us := wanted -> i -> 'span_us';
    -- The clock is read once the row is locked, so that who comes later comes at a later time. `least`: never further
    -- from full than empty is, for a row may be from when the limit was another one.
    insert into buckets as b (tenant_id, name, full_at) values (tenant, wanted -> i ->> 'name', clock_timestamp() + step)
    on conflict (tenant_id, name) do update
      set full_at = least(greatest(b.full_at, clock_timestamp()), clock_timestamp() + span_us * interval '1 microsecond') + step
    returning (extract(epoch from b.full_at - clock_timestamp()) * 1000000)::bigint into full_in_us;
    all_full_in_us := all_full_in_us || to_jsonb(full_in_us);
    refused := refused or full_in_us > span_us;
  end loop;
  if refused then
    -- One by one: joined with all of them, it was all buckets of the tenant that were read.
    for i in 0 .. jsonb_array_length(wanted) - 1 loop
      update buckets b set full_at = b.full_at - (wanted -> i ->> 'step_us')::bigint * interval '1 microsecond'
      where b.tenant_id = tenant and b.name = wanted -> i ->> 'name';
    end loop;
  end if;
  return jsonb_build_object('full_in_us', all_full_in_us, 'refused', refused);
end
$$;

-- The turn that the visitor opened under this key, if any.
create function turn_of_key(tenant text, visitor text, key text) returns jsonb language plpgsql stable as $$
begin
  return (
    select jsonb_build_object('id', t.id, 'request_hash', t.request_hash) from turns t
    where t.tenant_id = tenant and t.user_id = visitor and t.idempotency_key = key
  );
end
$$;

-- Lets a message in: takes it out of the buckets of {"messages"}, unless the turn of {"user_id", "key"} is there already.
-- To look for a key is to read, which the buckets of {"reads"} limit. Where it gives "stop", the message goes no further.
create function admit(tenant text, asked jsonb) returns jsonb language plpgsql as $$
declare
  came_of jsonb := '{}';
  taken jsonb;
  known jsonb;
begin
  if asked ? 'key' then
    if asked -> 'reads' <> '[]' then
      taken := take(tenant, asked -> 'reads');
      came_of := jsonb_build_object('reads', taken);
      if (taken -> 'refused')::boolean then
        return came_of || '{"stop": true}';
      end if;
    end if;
    known := turn_of_key(tenant, asked ->> 'user_id', asked ->> 'key');
    if known is not null then
      return came_of || jsonb_build_object('known', known, 'stop', true);
    end if;
  end if;
  if asked -> 'messages' <> '[]' then
    taken := take(tenant, asked -> 'messages');
    came_of := came_of || jsonb_build_object('messages', taken, 'stop', taken -> 'refused');
  end if;
  return came_of;
end
$$;

-- Whether as many turns of the tenant run, on all instances together, as may. Until the transaction ends nobody else of the
-- tenant is told, so that what is added within it is counted; a tenant without a bound pays nothing for this.
create function is_full(tenant text, runs_max integer) returns boolean language plpgsql as $$
begin
  if runs_max is null then
    return false;
  end if;
  perform pg_advisory_xact_lock(hashtextextended('cip running ' || tenant, 0));
  return (
    select count(*) from (
      select from turns t where t.tenant_id = tenant and t.status = 'running' limit runs_max
    ) counted
  ) >= runs_max;
end
$$;

-- What was said in a conversation, in all of it or before one of its turns: of its last 200 answered turns those that fit
-- into `bytes_max` of UTF-8 together, without replaced ones. Reasoning is not history.
create function history(tenant text, of_conversation uuid, before uuid, bytes_max bigint)
returns table (message text, answer text, said_at timestamptz, id uuid) language sql stable as $$
  select s.message, s.answer, s.created_at, s.id from (
    select t.message, a.answer, t.created_at, t.id,
      sum(octet_length(t.message) + octet_length(a.answer)) over (order by t.created_at desc, t.id desc) as bytes
    from (
      select l.message, l.parts, l.created_at, l.id from turns l
      where l.tenant_id = tenant and l.conversation_id = of_conversation
        and l.status not in ('queued', 'running') and l.superseded_by is null
        and (before is null or (l.created_at, l.id) <
          (select n.created_at, n.id from turns n where n.tenant_id = tenant and n.id = before))
      order by l.created_at desc, l.id desc
      limit 200
    ) t
    cross join lateral (
      select string_agg(p ->> 'text', '') as answer
      from jsonb_array_elements(t.parts) p where p ->> 'type' = 'text'
    ) a
    where a.answer <> ''
  ) s
  where s.bytes <= bytes_max
$$;

-- The first of [{"holder", "tokens_max"}] that has not so many tokens of this day left, if any.
create function exhausted(tenant text, wanted jsonb, needed bigint) returns text language sql stable as $$
  select w.holder
  from jsonb_array_elements(wanted) with ordinality as e (budget, i)
  cross join lateral jsonb_to_record(e.budget) as w (holder text, tokens_max bigint)
  where needed > w.tokens_max - coalesce((
    select b.tokens from budgets b
    where b.tenant_id = tenant and b.day = (now() at time zone 'utc')::date and b.holder = w.holder
  ), 0)
  order by e.i
  limit 1
$$;

-- Counts so many tokens, which may be fewer than none, as used on that day by each of the holders, in the order given.
create function spend(tenant text, holders jsonb, spent bigint, of_day date) returns void language plpgsql as $$
begin
  for i in 0 .. jsonb_array_length(holders) - 1 loop
    insert into budgets as b (tenant_id, day, holder, tokens) values (tenant, of_day, holders ->> i, spent)
    on conflict (tenant_id, day, holder) do update set tokens = b.tokens + excluded.tokens;
  end loop;
end
$$;

-- Reserves tokens of this day for each of [{"holder", "tokens_max"}], in the order given, or where one has not so many left,
-- for none. Gives the day, and whose are "exhausted". It is the last that a transaction does, so that the row which all
-- visitors of a tenant share is locked for the shortest time.
create function reserve(tenant text, wanted jsonb, needed bigint) returns jsonb language plpgsql as $$
declare
  today constant date := (now() at time zone 'utc')::date;
  used bigint;
  whose text;
begin
  for i in 0 .. jsonb_array_length(wanted) - 1 loop
    insert into budgets as b (tenant_id, day, holder, tokens) values (tenant, today, wanted -> i ->> 'holder', needed)
    on conflict (tenant_id, day, holder) do update set tokens = b.tokens + excluded.tokens
    returning b.tokens into used;
    if whose is null and used > (wanted -> i -> 'tokens_max')::bigint then
      whose := wanted -> i ->> 'holder';
    end if;
  end loop;
  if whose is not null then
    perform spend(tenant, (select jsonb_agg(w -> 'holder') from jsonb_array_elements(wanted) w), -needed, today);
  end if;
  return jsonb_build_object('day', today, 'exhausted', whose);
end
$$;

-- Opens a turn: stores the visitor's message, running under a lease, or waiting where it has to. Gives "id" of the new turn,
-- with "epoch" and what its run needs where it runs; or "known", the turn that this request made before; or "refused", and
-- then nothing was changed. Raises 23505 where somebody was faster, so that it is to be looked at again, and U0001 where a
-- budget is used up: the message says whose, the hint how many tokens were needed.
--
-- Locks are taken in this order everywhere: visitor, tenant, conversation, turns, budgets.
create function open_turn(tenant text, asked jsonb) returns jsonb language plpgsql as $$
declare
  q record;
  known jsonb;
  owner text;
  replaced record;
  unfinished bigint;
  live uuid;
  runs boolean;
  said jsonb := '[]';
  needed bigint;
  reserved jsonb;
  new_epoch integer;
begin
  select * into q from jsonb_to_record(asked) as r (
    id uuid, conversation_id uuid, user_id text, message text, title text, language text, context jsonb, key text,
    request_hash text, versions jsonb, trace jsonb, replaces uuid, queue boolean, detached boolean, runs_max integer,
    unfinished_max integer, bytes_max bigint, tokens bigint, budgets jsonb, instance_id uuid, lease_ms bigint
  );
  -- What a visitor asks is opened one after the other, so what is read from here on is still so below.
  perform pg_advisory_xact_lock(hashtextextended('cip visitor ' || tenant || ' ' || q.user_id, 0));

  if q.key is not null then
    known := turn_of_key(tenant, q.user_id, q.key);
    if known is not null then
      return jsonb_build_object('known', known);
    end if;
  end if;

  select c.user_id into owner from conversations c where c.tenant_id = tenant and c.id = q.conversation_id;
  if owner <> q.user_id then
    return jsonb_build_object('refused', 'not_found');
  end if;

  if q.replaces is not null then
    -- Looked for by its id alone, or all turns of the conversation might be looked through.
    select t.superseded_by as successor, t.user_id, t.conversation_id into replaced from turns t
    where t.tenant_id = tenant and t.id = q.replaces;
    if not found or replaced.user_id <> q.user_id or replaced.conversation_id <> q.conversation_id then
      return jsonb_build_object('refused', 'not_found');
    elsif replaced.successor is not null then
      return jsonb_build_object('refused', 'turn_replaced', 'id', replaced.successor);
    end if;
  end if;

  -- The conversation's live turn is one of its visitor's few unfinished ones, however long the conversation is and however
  -- many others have such turns.
  select count(*), (array_agg(t.id order by t.status desc, t.created_at, t.id)
    filter (where t.conversation_id = q.conversation_id))[1]
  into unfinished, live
  from turns t where t.tenant_id = tenant and t.user_id = q.user_id and t.status in ('queued', 'running');
  if live is not null and not q.queue then
    return jsonb_build_object('refused', 'turn_running', 'id', live);
  elsif unfinished >= q.unfinished_max then
    return jsonb_build_object('refused', 'too_many_runs');
  end if;

  runs := live is null and not q.detached;
  needed := q.tokens;
  if runs and is_full(tenant, q.runs_max) then
    return jsonb_build_object('refused', 'full');
  elsif runs and owner is not null then
    select coalesce(jsonb_agg(jsonb_build_object('message', h.message, 'answer', h.answer) order by h.said_at, h.id), '[]'),
      -- As prompt.ts counts: three bytes of a text are a token.
      needed + coalesce(sum((octet_length(h.message) + 2) / 3 + (octet_length(h.answer) + 2) / 3), 0)
    into said, needed
    from history(tenant, q.conversation_id, q.replaces, q.bytes_max) h;
  end if;

  -- Where somebody was faster, this one fails (23505) and is looked at again.
  if owner is null then
    insert into conversations (tenant_id, id, user_id, title) values (tenant, q.conversation_id, q.user_id, q.title);
  else
    update conversations c set updated_at = now() where c.tenant_id = tenant and c.id = q.conversation_id;
  end if;

  insert into turns as t (tenant_id, id, conversation_id, user_id, status, message, language, context, idempotency_key,
    request_hash, versions, trace, instance_id, lease_until)
  values (tenant, q.id, q.conversation_id, q.user_id, case when runs then 'running' else 'queued' end, q.message, q.language,
    q.context, q.key, q.request_hash, q.versions, q.trace, case when runs then q.instance_id end,
    case when runs then now() + q.lease_ms * interval '1 millisecond' end)
  returning t.epoch into new_epoch;

  if q.replaces is not null then
    -- The new turn takes the place of the old one and of all that came after that; those that wait need no answer any more.
    update turns t set
      superseded_by = q.id,
      status = case when t.status = 'queued' then 'stopped' else t.status end,
      finished_at = case when t.status = 'queued' then clock.now else t.finished_at end
    from (select now()) clock
    where t.tenant_id = tenant and t.conversation_id = q.conversation_id and t.superseded_by is null and t.id <> q.id
      and (t.created_at, t.id) >= (select o.created_at, o.id from turns o where o.tenant_id = tenant and o.id = q.replaces);
    if not found then
      raise exception 'the replaced turn is gone' using errcode = '23505';
    end if;
  end if;

  if q.budgets <> '[]' then
    -- One that waits reserves nothing before it runs.
    reserved := case when runs then reserve(tenant, q.budgets, needed)
      else jsonb_build_object('exhausted', exhausted(tenant, q.budgets, needed)) end;
    if reserved ->> 'exhausted' is not null then
      raise exception '%', reserved ->> 'exhausted' using errcode = 'U0001', hint = needed;
    end if;
  end if;
  return case when runs
    then jsonb_build_object('id', q.id, 'epoch', new_epoch, 'said', said, 'day', reserved -> 'day', 'tokens', needed)
    else jsonb_build_object('id', q.id) end;
end
$$;

-- Writes the end of a run, and puts what it has used in the place of what was reserved for it: {"spent"} is the difference.
-- Gives whether the turn was still this run's: else nothing was changed.
create function settle_turn(tenant text, asked jsonb) returns jsonb language plpgsql as $$
declare
  q record;
  settled boolean;
begin
  select * into q from jsonb_to_record(asked) as r (
    id uuid, epoch integer, status text, parts jsonb, finish_reason text, input_tokens integer, output_tokens integer,
    error_code text, holders jsonb, spent bigint, day date
  );
  update turns t set
    status = q.status, parts = q.parts, finished_at = now(), lease_until = null, finish_reason = q.finish_reason,
    input_tokens = q.input_tokens, output_tokens = q.output_tokens, error_code = q.error_code
  where t.tenant_id = tenant and t.id = q.id and t.epoch = q.epoch and t.finished_at is null and t.status <> 'queued';
  settled := found;
  if settled and q.holders is not null then
    perform spend(tenant, q.holders, q.spent, q.day);
  end if;
  return jsonb_build_object('settled', settled);
end
$$;

-- Does what [{"tenant", "take", "admit", "open_turn", "settle_turn"}, …] ask for, each step in a transaction of its own, so
-- that no lock is held for what comes after it or while the disk is waited for; the steps of one request in this order, up
-- to the first that gives "stop". Gives for each request what came of its steps, or under "error" what failed, which undid
-- that step and harms no other. What was written goes to the disk together, before this returns. Within a statement the
-- server looks at no statement_timeout: what can take long here is to wait for a lock, and what would begin too late is
-- not begun, for whoever asked may have been told so by then.
create procedure do_batch(requests jsonb, patience_ms integer, inout came_of jsonb) language plpgsql as $$
declare
  began constant timestamptz := clock_timestamp();
  request jsonb;
  step text;
  came_of_request jsonb;
  came_of_step jsonb;
  tenant text;
  held_up jsonb := '{}';
  code text;
  message text;
  hint text;
  wrote boolean := false;
begin
  came_of := '[]';
  for i in 0 .. jsonb_array_length(requests) - 1 loop
    request := requests -> i;
    tenant := request ->> 'tenant';
    came_of_request := '{}';
    foreach step in array array['take', 'admit', 'open_turn', 'settle_turn'] loop
      continue when not request ? step;
      perform set_config('app.tenant_id', tenant, true), set_config('role', 'cip_app', true),
        set_config('synchronous_commit', 'off', true),
        -- As db.ts has them: a plan that is made while a table is small is kept when it is not.
        set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true),
        -- Where one of a tenant's has waited in vain, the next ones are not to wait as long again.
        set_config('lock_timeout', case when held_up ? tenant then '1ms' else patience_ms || 'ms' end, true);
      begin
        if clock_timestamp() - began > interval '4 seconds' then
          raise exception 'the batch took too long' using errcode = '53000';
        end if;
        case step
          when 'take' then came_of_step := take(tenant, request -> step);
          when 'admit' then came_of_step := admit(tenant, request -> step);
          when 'open_turn' then came_of_step := open_turn(tenant, request -> step);
          when 'settle_turn' then came_of_step := settle_turn(tenant, request -> step);
        end case;
        came_of_request := came_of_request || jsonb_build_object(step, came_of_step);
        wrote := wrote or came_of_step ?| array['id', 'settled'] and not came_of_step ? 'refused';
      exception when others then
        get stacked diagnostics code = returned_sqlstate, message = message_text, hint = pg_exception_hint;
        came_of_step := '{"stop": true}';
        came_of_request := came_of_request
          || jsonb_build_object('error', jsonb_build_object('code', code, 'message', message, 'hint', hint));
        if code = '55P03' then
          held_up := held_up || jsonb_build_object(tenant, true);
        end if;
      end;
      commit;
      exit when came_of_step -> 'stop' = 'true';
    end loop;
    came_of := came_of || jsonb_build_array(came_of_request);
  end loop;
  if wrote then
    perform pg_logical_emit_message(true, 'cip', ''); -- of nobody's interest, but its commit flushes those before it
    commit;
  end if;
end
$$;
