begin;
select plan(9);

select throws_ok(
  $$select quantumflow.advance_clock('1 day')$$, 'QF505', 'the clock of this database cannot be advanced',
  'elsewhere the clock is the time');

set local quantumflow.now = '+3600';
select ok(quantumflow._now() < clock_timestamp() + '1 min', 'whatever a session has set');
set local quantumflow.now = 'shared';
select ok(quantumflow._now() < clock_timestamp() + '1 min', 'or says to share');

insert into quantumflow.settings values ('test_clock', 'on');
select quantumflow.advance_clock('1 hour');
select ok(
  quantumflow._now() between clock_timestamp() + '59 min' and clock_timestamp() + '1 hour',
  'sessions that share a clock share it by the settings');
set local quantumflow.now = '';
select ok(quantumflow._now() < clock_timestamp() + '1 min', 'which is no matter to others');

select throws_ok($$select quantumflow.advance_clock()$$, 'QF504', null, 'by nothing');
select throws_ok($$select quantumflow.advance_clock('-1 s', until_due => true)$$, 'QF504', null, 'or back');
select throws_ok($$select quantumflow.advance_clock('178000000 years')$$, 'QF504', null, 'or further than a hundred years');
select lives_ok($$select quantumflow.advance_clock('99 years')$$, 'it cannot be advanced');

select * from finish();
rollback;
