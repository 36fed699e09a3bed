-- Numbers and ids out of text that may hold anything. Without a path of their own, so that they are inlined where they are called.
-- The patterns are chosen for speed: one that counts, as {12} does, costs several times as much.

create function quantumflow._as_uuid(p_text text)
returns uuid
language sql
immutable
return case
  when p_text like '________-____-____-____-____________'
    and p_text !~ '[^0-9a-fA-F-]'
    and p_text not like '%-%-%-%-%-%'
  then p_text::uuid
end;

comment on function quantumflow._as_uuid(text) is
'A uuid in its usual form; null when the text is none.';

create function quantumflow._as_number(p_text text, p_digits int)
returns bigint
language sql
immutable
return case
  when length(p_text) between 1 and p_digits
    and p_text !~ '[^0-9]'
  then p_text::bigint
end;

comment on function quantumflow._as_number(text, int) is
'A whole number of at most p_digits digits, 18 or fewer; null when the text is none.';
