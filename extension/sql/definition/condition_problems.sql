-- What an "if" may be. It is read as PostgreSQL prints it, so that quotes, comments, escapes and spelling are PostgreSQL's business.

create function quantumflow._unknown_in_path(p_tokens text[], p_dependencies text[], p_after text[], p_of_loop boolean)
returns setof text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_unknown_in_path$
begin
  return query
  with word as (
    select
      t.token, p_tokens[t.number + 1] as next,
      case
        when p_tokens[t.number + 2] in ('==', '!=') then p_tokens[t.number + 3]
        when p_tokens[t.number - 1] in ('==', '!=') and p_tokens[t.number + 2] !~ '^[.[?]' then p_tokens[t.number - 2]
      end as compared
    from unnest(p_tokens) with ordinality t(token, number)
  ),
  -- A name after a dot or a dollar, as JSON has it.
  named as (
    select
      w.*,
      case when left(w.token, 2) = '$"' then substr(w.token, 2)::jsonb #>> '{}' end as variable,
      case when left(w.next, 2) = '."' then substr(w.next, 2)::jsonb #>> '{}' end as key
    from word w
    where left(w.token, 1) = '$'
  )
  select format('asks for $.%s, and %1$s is neither run nor a dependency%s', n.key, case when p_of_loop then ', nor last' end)
  from named n
  where n.token = '$'
    and p_dependencies is not null
    and n.key <> all ('run'::text || p_dependencies || case when p_of_loop then '{last}'::text[] end)
  union all
  select 'asks for all of $: it may ask for $.run, and for each dependency by name'
  from named n
  where n.token = '$'
    and n.key is null
    and p_dependencies is not null
  union all
  select format('asks for the variable $%s, and there is only $status%s', n.variable, case when p_of_loop then ' and $iteration' end)
  from named n
  where n.variable <> 'status'
    and not (p_of_loop and n.variable = 'iteration')
  union all
  select format('asks for $status.%s, and %1$s is no dependency', n.key)
  from named n
  where n.variable = 'status'
    and n.key <> all (p_dependencies || p_after)
  union all
  select format('compares $status.%s with %s, and it is "completed", "skipped" or "failed"', n.key, n.compared)
  from named n
  where n.variable = 'status'
    and n.key = any (p_dependencies || p_after)
    and n.compared ~ '^("|[0-9]|(true|false|null)$)'
    and n.compared <> all (array['"completed"', '"skipped"', '"failed"'])
  union all
  select distinct format('has "%s", which quantumflow does not know', w.token)
  from word w
  where w.token !~ E'^([$.]?"|[0-9]|\\.\\*|\\[\\*\\]|\\?\\(|!\\(|&&|\\|\\||[=!<>]=|[][<>(),@$+*/%-]$)'
    and w.token <> all (array[
      'exists (', 'like_regex', 'starts with', 'is unknown', 'flag', 'last', 'to', 'true', 'false', 'null', '.abs(', '.bigint(',
      '.boolean(', '.ceiling(', '.date(', '.datetime(', '.decimal(', '.double(', '.floor(', '.integer(', '.keyvalue(', '.number(',
      '.size(', '.string(', '.time(', '.time_tz(', '.timestamp(', '.timestamp_tz(', '.type(']);
end
$_unknown_in_path$;

comment on function quantumflow._unknown_in_path(text[], text[], text[], boolean) is
'What a condition asks for that it cannot be given, in words that follow "if". p_dependencies: null where its input may have any keys. p_of_loop: it is asked after each iteration.';

create function quantumflow._pattern_size(p_pattern text, p_flags text)
returns int
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_pattern_size$
declare
  -- Escapes and classes become one letter each: so no bracket in them is taken for one.
  v_plain text := regexp_replace(
    regexp_replace(p_pattern, E'\\\\[^1-9]', 'e', 'g'), E'\\[\\^?\\]?(?:\\[[.:=][^]]*[.:=]\\]|[^]])*\\]', 'c', 'g');
begin
  if p_flags ~ 'q' then
    return length(p_pattern);
  elsif v_plain ~ E'\\\\|\\(\\?[^:]|\\)\\{|^\\*\\*\\*' then
    return null;
  end if;

  return (
    select coalesce(sum(greatest(1, m.part[1]::int, m.part[2]::int)), 0)
    from (
      select array[nullif(a.atom[1], ''), nullif(a.atom[2], '')] as part
      from regexp_matches(v_plain, E'[^()|*+?^$](?:\\{([0-9]{1,3})(?:,([0-9]{0,3}))?\\})?', 'g') as a(atom)
    ) as m);
end
$_pattern_size$;

comment on function quantumflow._pattern_size(text, text) is
'How many characters a pattern of like_regex has when its repetitions are written out: what each character of a text costs at most. Null
when time could grow faster than the text: with a back reference, with what looks ahead or behind, with a repetition of a group;
and for one in another language, or that begins with options.';

create function quantumflow._pattern_problems(p_tokens text[])
returns setof text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_pattern_problems$
begin
  return query
  with pattern as (
    select quantumflow._pattern_size(
      p_tokens[t.number + 1]::jsonb #>> '{}',
      case when p_tokens[t.number + 2] = 'flag' then p_tokens[t.number + 3]::jsonb #>> '{}' else '' end
    ) as size
    from unnest(p_tokens) with ordinality t(token, number)
    where t.token = 'like_regex'
  )
  select 'has a pattern with a back reference, a look ahead or behind, options, or a group that is repeated a number of times'
  from pattern p
  where p.size is null
  union all
  select format('has patterns of %s characters, with their repetitions written out, and 64 are allowed', sum(p.size))
  from pattern p
  having sum(p.size) > 64;
end
$_pattern_problems$;

comment on function quantumflow._pattern_problems(text[]) is
'Patterns of like_regex that may take longer than a second on a megabyte of text, in words that follow "if".';

create function quantumflow._work_of(p_token text, p_next text)
returns int
language sql
immutable
return case
  when p_token in ('(', ')', ']', ',', 'flag') then 0
  when p_token ~ '^\.(date|time)' then case when left(p_next, 1) = '"' then 5 else 30 end
  when p_token = 'like_regex' then 10
  else 1
end;

comment on function quantumflow._work_of(text, text) is
'How long a word of a jsonpath takes for a value, in the time that a comparison takes: without a template, what reads a time tries many.
p_next: the word after it.';

create function quantumflow._products_of(p_tokens text[], p_place int, p_in_filter boolean)
returns int
language sql
immutable
return case
  when p_tokens[p_place] not in ('*', '/', '%') then 0
  when concat(p_tokens[p_place + 1], p_tokens[p_place + 2]) ~ '^[-+]?[0-9]' then 0
  when p_tokens[p_place] <> '*' then 2
  when p_tokens[p_place - 1] ~ '^[0-9]' then 0
  when p_in_filter then 2
  else 1
end;

comment on function quantumflow._products_of(text[], int, boolean) is
'How many products of two long numbers a word stands for, of which one is allowed: none by a number of the condition itself, two where there
are too many at once, in a filter or in a division.';

create function quantumflow._loop_problems(p_tokens text[], p_is_lax boolean, p_gives_value boolean)
returns setof text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_loop_problems$
declare
  -- The last one ends the last operand.
  v_tokens    text[] := p_tokens || ')'::text;
  v_token     text;
  v_is_many   boolean;
  v_loops     boolean := p_is_lax;
  v_work      int := 0;
  v_products  int := 0;
  v_filters   int := 0;
  v_found     text[] := '{}';
  -- Of each pair of brackets that the word is in, the innermost last: what opened it; whether what stands there since the last operator may
  -- be many values, begins with $, is worked on; whether what stands left of the comparison may be many, or anything there.
  v_depth     int := 1;
  v_opened    text[] := '{(}';
  v_many      boolean[] := '{f}';
  v_of_input  boolean[] := '{f}';
  v_worked    boolean[] := '{f}';
  v_left_many boolean[] := '{f}';
  v_had_many  boolean[] := '{f}';
begin
  for i in 1 .. cardinality(v_tokens) loop
    v_token := v_tokens[i];
    v_is_many := v_token in ('[*]', '.*', '.keyvalue(') or (v_token in ('to', ',') and v_opened[v_depth] = '[');
    v_many[v_depth] := v_many[v_depth] or v_is_many or (p_is_lax and v_token in ('$', '@'));
    v_loops := v_loops or v_is_many or v_token = '?(';
    v_work := v_work + quantumflow._work_of(v_token, v_tokens[i + 1]);

    if v_filters > 0 and (v_is_many or v_token = '?(') then
      v_found := v_found || 'has a wildcard, a range or a filter inside a filter'::text;
    end if;

    case
      when v_token in (')', ']', '&&', '||', '==', '!=', '<', '<=', '>', '>=', 'starts with') then
        if v_many[v_depth] and v_left_many[v_depth] then
          v_found := v_found || 'compares many values with many, where one side must be one value; in lax mode each path is many'::text;
        end if;

        if v_filters > 0 and v_of_input[v_depth] and v_worked[v_depth] then
          v_found := v_found || 'works on a value of $ in a filter, for each item again, where it can only be compared'::text;
        end if;

        v_had_many[v_depth] := v_had_many[v_depth] or v_many[v_depth];
        v_left_many[v_depth] := v_many[v_depth] and v_token not in ('&&', '||');
        v_many[v_depth] := false;
        v_of_input[v_depth] := false;
        v_worked[v_depth] := false;

        if v_token in (')', ']') and v_depth > 1 then
          v_depth := v_depth - 1;
          v_many[v_depth] := v_many[v_depth] or (v_had_many[v_depth + 1] and v_opened[v_depth + 1] <> '?(');
          v_filters := v_filters - (v_opened[v_depth + 1] = '?(')::int;
        end if;
      when v_token ~ E'[(\\[]$' then
        v_worked[v_depth] := v_worked[v_depth] or left(v_token, 1) = '.';
        v_filters := v_filters + (v_token = '?(')::int;
        v_depth := v_depth + 1;
        v_opened[v_depth] := v_token;
        v_many[v_depth] := false;
        v_of_input[v_depth] := false;
        v_worked[v_depth] := false;
        v_left_many[v_depth] := false;
        v_had_many[v_depth] := false;
      else
        v_of_input[v_depth] := v_of_input[v_depth] or v_token = '$';
        v_worked[v_depth] := v_worked[v_depth]
          or v_token in ('+', '-', '*', '/', '%', 'like_regex')
          or (p_is_lax and v_token = '$');
        v_products := v_products + quantumflow._products_of(v_tokens, i, v_filters > 0);
    end case;
  end loop;

  return query
  select distinct f.found
  from unnest(v_found) as f(found)
  where f.found is not null
  union all
  select 'multiplies values with each other more than once or in a filter, or divides by one that is no number in the condition'
  where v_products > 1
  union all
  select format('does %s operations, and 200 are allowed, or 50 on many values', v_work)
  where v_work > case when v_loops then 50 else 200 end
  union all
  select 'ends in a filter, which gives items: exists(...) around it is true or false'
  where not p_gives_value
    and v_opened[2] = '?('
    and p_tokens[cardinality(p_tokens)] = ')'
  union all
  select 'has .**, which looks at everything below'
  where exists (select from unnest(p_tokens) as t(token) where starts_with(t.token, '.**'));
end
$_loop_problems$;

comment on function quantumflow._loop_problems(text[], boolean, boolean) is
'What in a condition may take time that grows faster than the input does, in words that follow "if". p_gives_value: it is a path to a value
instead, and may end in a filter.

It reads the words once from left to right, and knows of each pair of brackets that it is in whether what stands there may be many values.
In lax mode each path may, since an array stands for its elements. That a filter works on no value of $, for each item again, is asked
of text and numbers, which may be long; to compare them takes no longer than the item is.';

create function quantumflow._condition_problems(
  p_if           text,
  p_dependencies text[],
  p_after        text[],
  p_gives_value  boolean default false,
  p_of_loop      boolean default false
)
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_condition_problems$
declare
  v_asked  text := quantumflow._with_mode(p_if);
  v_path   text;
  v_tokens text[];
begin
  begin
    v_path := v_asked::jsonpath::text;
  exception
    when others then
      if quantumflow._is_of_the_call(sqlstate) then
        raise;
      end if;

      return query select format('is no jsonpath: %s', sqlerrm);
      return;
  end;

  -- A number of a few letters can have a hundred thousand digits.
  if length(v_path) > 4000 then
    return query select format('has %s characters as PostgreSQL writes it, and 4000 are allowed', length(v_path));
    return;
  end if;

  v_tokens := quantumflow._path_tokens(regexp_replace(v_path, '^strict ', ''));

  return query
  select u.* from quantumflow._unknown_in_path(v_tokens, p_dependencies, p_after, p_of_loop) as u
  union all
  select p.* from quantumflow._pattern_problems(v_tokens) as p
  union all
  select l.* from quantumflow._loop_problems(v_tokens, v_path !~ '^strict ', p_gives_value) as l;
end
$_condition_problems$;

comment on function quantumflow._condition_problems(text, text[], text[], boolean, boolean) is
'What is wrong with an "if", in words that follow it. p_dependencies and p_after: what its step waits for, with and without what it gives.
p_gives_value: it is a path to a value instead, as "at" is. p_of_loop: it is asked after each iteration, as "until" and "while" are.

It may ask only for what the step is given, and take no time that grows faster than its input: so that it takes less than a second on a
megabyte, whatever is in it. Numbers of values are not known when it is defined, so whatever may be many counts as many.';
