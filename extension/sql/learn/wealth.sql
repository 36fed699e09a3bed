create function quantumflow._wealth(p_for int, p_against int)
returns double precision
language sql
immutable
return (
  1.3::double precision ^ p_for * 0.7::double precision ^ p_against
  + 1.6::double precision ^ p_for * 0.4::double precision ^ p_against
  + 1.9::double precision ^ p_for * 0.1::double precision ^ p_against
) / 3;

comment on function quantumflow._wealth(int, int) is
'What a stake of 1 would have become by betting on each pair, with 0.3, 0.6 and 0.9 of what there is, a third each: on a coin that is fair it ever reaches 20
with a probability of at most 1 in 20, however often one looks (Ville''s inequality; testing by betting as in Waudby-Smith and Ramdas, 2024).';
