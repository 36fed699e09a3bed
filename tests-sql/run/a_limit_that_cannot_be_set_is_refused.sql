begin;
select plan(8);

select throws_ok($$select quantumflow.set_limit(null, 1)$$, 'QF408', null, 'no name');
select throws_ok($$select quantumflow.set_limit('a b', 1)$$, 'QF408', 'limit_name must be a letter, then letters, digits, _, . and -, at most 128', 'a bad name');
select throws_ok($$select quantumflow.set_limit('a', -1)$$, 'QF408', 'at_once must be between 0 and 10000', 'less than none');
select throws_ok($$select quantumflow.set_limit('a', 10001)$$, 'QF408', null, 'too many');
select throws_ok($$select quantumflow.set_limit('a', per_second => 0)$$, 'QF408', 'per_second must be between 0.0001 and 100000', 'none a second');
select throws_ok($$select quantumflow.set_limit('a', per_second => 'NaN')$$, 'QF408', null, 'no number');
select throws_ok($$select quantumflow.set_limit('a')$$, 'QF408', 'limit "a" limits nothing', 'neither');
select is_empty('select * from quantumflow.list_limits()', 'nothing was set');

select * from finish();
rollback;
