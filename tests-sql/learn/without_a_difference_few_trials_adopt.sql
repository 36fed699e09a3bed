begin;
select plan(4);

-- So many trials of up to 40 pairs each, with two times to a pair: base 1, tuned by so much faster, both disturbed.
create function pg_temp.trials(p_number int, p_gain double precision, p_noise double precision)
returns table (verdict text, pairs int) language plpgsql as $$
declare
  v_wins   int;
  v_losses int;
begin
  for n in 1 .. p_number loop
    v_wins := 0;
    v_losses := 0;
    loop
      if ln(1 - p_gain) + p_noise * pg_temp.normal() < p_noise * pg_temp.normal() then
        v_wins := v_wins + 1;
      else
        v_losses := v_losses + 1;
      end if;
      verdict := quantumflow._verdict('trial', v_wins, v_losses);
      exit when verdict is not null;
    end loop;
    pairs := v_wins + v_losses;
    return next;
  end loop;
end
$$;
create function pg_temp.normal() returns double precision language sql volatile as $$
  select sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random());
$$;
select setseed(0.5);

create temporary table nothing on commit drop as select * from pg_temp.trials(1000, 0, 0.2);
select cmp_ok((select count(*) from nothing where verdict = 'it is faster')::int, '<=', 50, 'of 1,000 trials of nothing at most 5 % adopt it');
select cmp_ok((select max(pairs) from nothing), '<=', 40, 'each ends');
create temporary table gain on commit drop as select * from pg_temp.trials(200, 0.3, 0.15);
select cmp_ok((select count(*) from gain where verdict = 'it is faster')::int, '>=', 195, 'what saves 30 % is found');
select cmp_ok((select percentile_cont(0.5) within group (order by pairs) from gain)::int, '<=', 8, 'within 8 pairs in the median');

select * from finish();
rollback;
