begin;
select plan(8);

create function pg_temp.problem(p_if text) returns text language sql as $$
  select string_agg(p, '; ' order by p) from quantumflow._condition_problems(p_if, '{a,b}', '{}') as p
$$;

select is_empty(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    '$.run.a[*] == $.b.c', '$.run.a[*].b[*].c == 5 && $.a[1 to 3] != 7', 'exists($.run.a[*] ? (@.price * 1.2 > 10 && @.n % 2 == 0))',
    'exists($.run.a[*] ? (@.total > $.run.limit && $status.a == "completed"))', 'lax $.run.a.b == 5', 'lax exists($.run.a.b)',
    '$.run.price * $.run.quantity > -2 * $.a.limit', '$.run.a[last - 1] / 100 == 2', '$.run.t.datetime() < "2026-01-01".datetime()',
    '$.run.tags[*] like_regex "^[A-Z]{2}-\\d{5}(-(draft|final))?$" flag "i"', '$.run.n like_regex "a.+(?:b|\\(c\\)){2}[)]{3}" flag "q"',
    '$.run.a[*].datetime("YYYY-MM-DD") < "2026-01-01".datetime("YYYY-MM-DD")', '!exists($.run.x[*] ? (@ == "**" || @ starts with "$["))',
    '($.run.a[*] > 1) is unknown', '$.run.a[*] == 1 || $.run.b[*] == 2']) as c(text)
  where pg_temp.problem(c.text) is not null$$,
  'one look at each of many values');

select is_empty(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    '$.run.a[*] == $.b[*]', '$.run.* != $.b[0 to 5]', '$.run[0,1,2] < $.b.*', '$.run.keyvalue().key == $.b.keyvalue().key',
    '($.run.a[*] > 1).type() == $.b[*]', '$.run.x == 1 && -$.run.a[*] <= +$.b[*]', '$.run.a[$.a.x[*]] == $.b[*]',
    'lax $.run.a == $.b', 'lax $.a ? (@.x == @.y).z == 1', 'exists($.run ? (($.a[*] + 1) == $.b[*]))']) as c(text)
  where (pg_temp.problem(c.text) like '%compares many values with many%') is not true$$,
  'many are not compared with many');

select is_empty(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    'exists($.run.a[*] ? (@.b[*] == 1))', 'exists($.run.a[*] ? (@.* == 1))', 'exists($.run.a[*] ? (@[0 to 9] == 1))',
    'exists($.run.a[*] ? (exists(@.b ? (@ == 1))))', 'exists($.run.a[*] ? (@.keyvalue().key == "x"))', 'exists($.run.a[*] ? ($.b[*] == 1))'
    ]) as c(text)
  where (pg_temp.problem(c.text) like '%has a wildcard, a range or a filter inside a filter%') is not true$$,
  'nothing runs over many values inside a filter');

select is_empty(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    'exists($.run.a[*] ? (@ == $.b.n + 1))', 'exists($.run.a[*] ? ($.b.text like_regex "x"))', 'exists($.run.a[*] ? ($.b.text.double() > @))',
    'exists($.run.a[*] ? (-$.b.n == @))', 'exists($.run.a[*] ? ((@ + 1) * $.b.n > 2))', 'lax exists($.run.a ? ($.b == 1))']) as c(text)
  where (pg_temp.problem(c.text) like '%works on a value of $ in a filter%') is not true$$,
  'nor does a filter work again and again on what is outside of it');

select is_empty(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    '$.run.a * $.run.b * $.run.c > 1', 'exists($.run[*] ? (@.a * @.b > 1))', '$.run.a / $.run.b > 1', '$.run.a % $.run.b == 1',
    '2 / $.run.a > 1', '$.run.a * 2 * $.run.b * $.run.c > 1']) as c(text)
  where (pg_temp.problem(c.text) like '%multiplies values with each other%') is not true$$,
  'numbers may have a hundred thousand digits: two are multiplied, and none divides');

select is_empty(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    '$.run.x like_regex "(a*)\\1"', '$.run.x like_regex "a(?=.*b)"', '$.run.x like_regex "(?<!a)b"', '$.run.x like_regex "(ab){2}"',
    '$.run.x like_regex "(?i)a"', '$.run.x like_regex "***:(?i)a"', '$.run.x like_regex "a.{0,64}b"', '$.run.x like_regex "[a-z]{60,}b{5}"',
    '$.run.x like_regex "a{40}" || $.run.y like_regex "b{40}"']) as c(text)
  where (pg_temp.problem(c.text) like '%pattern%') is not true$$,
  'a pattern is read once, and has few states');

select is(
  array[
    pg_temp.problem('exists($.run[*] ? (' || array_to_string(array_fill('@ == 1'::text, array[20]), ' || ') || '))'),
    pg_temp.problem(array_to_string(array_fill('$.run.x == 1'::text, array[45]), ' || ')),
    pg_temp.problem('exists($.run[*] ? (@.datetime() < "2026-01-01".datetime()))'),
    pg_temp.problem('$.run.x > 1e5000'),
    pg_temp.problem('$.run.**{2}.x == 1')],
  array[
    'does 84 operations, and 200 are allowed, or 50 on many values',
    'does 269 operations, and 200 are allowed, or 50 on many values',
    'does 68 operations, and 200 are allowed, or 50 on many values',
    'has 5024 characters as PostgreSQL writes it, and 4000 are allowed',
    'has .**, which looks at everything below'],
  'and it is not long');

select is(
  array[
    pg_temp.problem('$.run.n.bigint() > 1'), pg_temp.problem('$.run.n.decimal(5, 2) > 1'), pg_temp.problem('$.run.n.string() == "a"'),
    pg_temp.problem('exists($.run[*] ? (@.date() < "2026-01-01".date()))')],
  case when current_setting('server_version_num')::int >= 170000
    then array[null, null, null, 'does 68 operations, and 200 are allowed, or 50 on many values']
    else array[
      pg_temp.problem('$.run.n.bigint() > 1'), pg_temp.problem('$.run.n.decimal(5, 2) > 1'), pg_temp.problem('$.run.n.string() == "a"'),
      pg_temp.problem('exists($.run[*] ? (@.date() < "2026-01-01".date()))')]
  end,
  'what a newer PostgreSQL can is allowed there');

select * from finish();
rollback;
