begin;
select plan(10);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');

select throws_ok(format('select * from quantumflow.cancel_runs(%L, dry_run => false)', f.filter), 'QF219', null, f.filter)
from (
  values
    ('{}'), ('[]'), (null), ('{"worklow_slug": "w"}'), ('{"all": false}'), ('{"all": true, "status": "started"}'),
    ('{"before": "10000000-0000-0000-0000-000000000001"}'), ('{"since": "soon"}')
) f (filter);
select throws_ok($$select * from quantumflow.cancel_runs('{"status": "running"}')$$, 'QF212', null, 'a status that is none');
select throws_ok($$select * from quantumflow.cancel_runs('{"all": true}', 0)$$, 'QF211', null, 'no run');

select * from finish();
rollback;
