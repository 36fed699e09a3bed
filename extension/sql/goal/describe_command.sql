create function quantumflow.describe_command(command text, description text, args_schema jsonb default null)
returns quantumflow.described_commands
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $describe_command$
declare
  v_flaw    text := quantumflow._schema_flaw(describe_command.args_schema);
  v_command quantumflow.described_commands;
begin
  perform quantumflow._refuse_bad_text('command', describe_command.command, '1 to 256 characters', 256);
  perform quantumflow._refuse_bad_text('description', describe_command.description, '1 to 10000 characters', 10000);

  if v_flaw is not null or quantumflow._bytes(describe_command.args_schema) > 65536 then
    raise exception 'args_schema cannot be used: %', coalesce(v_flaw, 'it has more than 65536 bytes')
    using
      errcode = 'QF612',
      detail = (select 'A schema may have ' || string_agg(w.word, ', ') || '.' from quantumflow._schema_words() w),
      hint = 'For example {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}.';
  end if;

  insert into quantumflow.described_commands as d (command, description, args_schema)
  values (describe_command.command, describe_command.description, describe_command.args_schema)
  on conflict on constraint described_commands_pkey do update
  set
    description = excluded.description,
    args_schema = excluded.args_schema
  where (d.description, d.args_schema) is distinct from (excluded.description, excluded.args_schema)
  returning *
  into v_command;

  if found then
    perform quantumflow._record_act(
      'describe_command', quantumflow._now(), p_detail => jsonb_build_object('command', describe_command.command));
  else
    select *
    into v_command
    from quantumflow.described_commands d
    where d.command = describe_command.command;
  end if;

  return v_command;
end
$describe_command$;

comment on function quantumflow.describe_command(text, text, jsonb) is
'Says what a command does and what args it takes: planners are told, and what they plan is held to it. The same again changes nothing.

args_schema: JSON Schema of the words type, enum, const, properties, required, additionalProperties, items, minItems, maxItems, minLength,
maxLength, minimum, maximum, title, description, default and examples; null: args may be anything.

Errors: QF612 an argument that is null, too long, or no schema of these words.';

create function quantumflow._refuse_bad_text(p_argument text, p_value text, p_wanted text, p_most int)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_text$
begin
  if coalesce(length(btrim(p_value)), 0) = 0 or length(p_value) > p_most then
    raise exception '% must have %', p_argument, p_wanted
    using
      errcode = 'QF612',
      detail = case when p_value is null then 'It is null.' else format('It has %s.', length(p_value)) end,
      hint = 'docs/goals.md has examples.';
  end if;
end
$_refuse_bad_text$;

comment on function quantumflow._refuse_bad_text(text, text, text, int) is
'Refuses a text that is none, or too long.

Errors: QF612.';
