-- Without paths of their own, so that they are inlined where they are called.

create function quantumflow._callback_of(p_run_status text)
returns text
language sql
immutable
return case p_run_status when 'completed' then '_on_complete' when 'failed' then '_on_failure' end;

comment on function quantumflow._callback_of(text) is
'The name of the callback of a run that has ended so; null while it goes on, and where there is none.';

create function quantumflow._callback_input(p_step_slug text, p_input jsonb, p_output jsonb, p_error_message text)
returns jsonb
language sql
stable
return case p_step_slug
  when '_on_complete' then jsonb_build_object('run', p_input, 'output', p_output)
  else jsonb_build_object('run', p_input, 'error', p_error_message)
end;

comment on function quantumflow._callback_input(text, jsonb, jsonb, text) is
'What a callback is given: its run''s input, and the output or the error.';
