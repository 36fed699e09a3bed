begin;
select plan(6);

create temporary table kept as select * from quantumflow.settings;

select throws_ok(
  $$select quantumflow.configure('test_clock', 'on')$$, 'QF503', 'setting "test_clock" cannot be configured',
  'no role may move the clock, and so expire leases');
select throws_ok(
  $$select quantumflow.configure('identity', null)$$, 'QF503', 'setting "identity" cannot be configured', 'or say which database this is');
select throws_ok(
  $$select quantumflow.configure('max_step', '1')$$, 'QF503', 'setting "max_step" cannot be configured', 'an unknown setting');
select throws_ok(
  $$select quantumflow.configure(null, '1')$$, 'QF503', 'setting "null" cannot be configured', 'none');
select throws_ok(
  $$select quantumflow.configure('max_steps', '0')$$, 'QF504', 'max_steps must be a whole number from 1 to 1000000', 'a value out of range');
do $$
declare
  v_value text;
begin
  foreach v_value in array array['', ' 1', '1.0', '-1', '1e3', 'ten', e'10\n', repeat('9', 100)] loop
    begin
      perform quantumflow.configure('max_steps', v_value);
      insert into kept values ('taken', v_value);
    exception
      when sqlstate 'QF504' then
        null;
    end;
  end loop;
end
$$;
select set_eq('select * from kept', 'select * from quantumflow.settings', 'each is refused, and nothing was set');

select * from finish();
rollback;
