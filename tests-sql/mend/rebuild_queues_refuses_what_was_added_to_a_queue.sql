begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "queue": "side"}]}');
select quantumflow.start_flow('w');
select pgmq.send('side', '{"not": "ours"}');
-- As a restore leaves them that could not give them to whose they were: all of it is the restorer's.
create table public.ran (what text);
create function pgmq.note(text) returns void language sql as $$insert into public.ran values ($1)$$;
create function pgmq.peek(bigint) returns bigint immutable language plpgsql as
$$begin perform pgmq.note('peek'); return $1; end$$;
create function pgmq.spy() returns trigger language plpgsql as
$$begin perform pgmq.note('spy'); return coalesce(new, old); end$$;

create temporary table additions (n int generated always as identity, make text, what text) on commit drop;
insert into additions (make, what) values
  ('create trigger spy before truncate or insert on %1$s for each statement execute function pgmq.spy()',
    '%1$s has something that pgmq does not make: trigger spy'),
  ('create trigger spy after delete on %1$s for each row execute function pgmq.spy()', '%1$s has something that pgmq does not make: trigger spy'),
  ('alter table %1$s alter column read_ct set default pgmq.peek(0)', '%1$s has something that pgmq does not make: default read_ct pgmq.peek('),
  ('alter table %1$s add column more bigint generated always as (pgmq.peek(msg_id)) stored',
    '%1$s has something that pgmq does not make: default more pgmq.peek('),
  ('alter table %1$s add check (pgmq.peek(msg_id) > 0)', '%1$s has something that pgmq does not make: constraint CHECK ('),
  ('create index spy on %1$s (pgmq.peek(msg_id))', '%1$s has something that pgmq does not make: index on an expression pgmq.spy'),
  ('create index spy on %1$s (msg_id) where pgmq.peek(msg_id) > 0', '%1$s has something that pgmq does not make: index on an expression pgmq.spy'),
  ('create domain pgmq.own as bigint check (pgmq.peek(value) > 0); alter table %1$s add column more pgmq.own',
    '%1$s has something that pgmq does not make: type more pgmq.own'),
  ('alter table %1$s enable row level security, force row level security; create policy spy on %1$s using (pgmq.peek(msg_id) > 0)',
    '%1$s has something that pgmq does not make: policy spy'),
  ('create table pgmq.heir () inherits (%1$s);
    create trigger spy before truncate on pgmq.heir for each statement execute function pgmq.spy()',
    'pgmq.heir has something that pgmq does not make: trigger spy');

create function pg_temp.refusal(make text) returns text language plpgsql as $$
declare
  v_before text := (select array_agg(q.* order by q.msg_id)::text from pgmq.q_side q);
  v_detail text := 'done';
begin
  -- What it does is undone in the end.
  begin
    execute make;
    delete from public.ran;
    begin
      perform quantumflow.rebuild_queues();
    exception when sqlstate 'QF403' then
      get stacked diagnostics v_detail = pg_exception_detail;
    end;
    if exists (select from public.ran) then
      v_detail := 'it ran';
    end if;
    raise exception using errcode = 'UNDO1';
  exception when sqlstate 'UNDO1' then
    null;
  end;

  if v_before is distinct from (select array_agg(q.* order by q.msg_id)::text from pgmq.q_side q) then
    v_detail := 'changed';
  end if;
  return v_detail;
end
$$;

create function pg_temp.refusals(p_table text) returns setof text language sql as $$
  select format('%s: %s', a.n, r.detail)
  from additions a
  cross join lateral pg_temp.refusal(format(a.make, p_table)) r (detail)
  where not starts_with(r.detail, 'The table ' || format(a.what, p_table))
$$;

select is_empty($$select pg_temp.refusals('pgmq.q_side')$$, 'whatever runs code on a queue is named, and does not run');
select is_empty($$select pg_temp.refusals('pgmq.a_side')$$, 'nor on an archive');
select lives_ok('select quantumflow.rebuild_queues()', 'without it, the queue is made anew');

select * from finish();
rollback;
