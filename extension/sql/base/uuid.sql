-- Without a path of its own, so that it is inlined where it is called. 48 bits of milliseconds, the version, 12 bits of the fraction of the
-- millisecond; the rest is random.
create function quantumflow._uuid_v7_of(p_us bigint)
returns uuid
language sql
volatile
return encode(
  overlay(
    uuid_send(gen_random_uuid())
    placing int8send((p_us / 1000 << 16) | 28672 | (p_us % 1000 * 4096 / 1000))
    from 1 for 8),
  'hex')::uuid;

comment on function quantumflow._uuid_v7_of(bigint) is
'A version 7 uuid of a moment, in microseconds since 1970.';

create function quantumflow._uuid_v7()
returns uuid
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_uuid_v7$
declare
  v_us bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
begin
  return quantumflow._uuid_v7_of(v_us);
end
$_uuid_v7$;

comment on function quantumflow._uuid_v7() is
'A version 7 uuid (RFC 9562, section 5.7, with the sub-millisecond fraction of section 6.2, method 3).

Ids made later sort later, to about a microsecond, so a run''s rows land at the right edge of their indexes.
PostgreSQL 18 has uuidv7(); this is the same on every supported version.';

create function quantumflow._first_uuid_v7(p_at timestamptz)
returns uuid
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_first_uuid_v7$
begin
  return encode(int8send((greatest(extract(epoch from p_at) * 1000, 0)::bigint << 16) | 28672) || decode('8000000000000000', 'hex'), 'hex')::uuid;
end
$_first_uuid_v7$;

comment on function quantumflow._first_uuid_v7(timestamptz) is
'The least version 7 uuid of that millisecond: those made before sort before it.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._token_of(p_secret uuid, p_number bigint)
returns bigint
language sql
immutable
return uuid_hash_extended(p_secret, p_number) & 9007199254740991;

comment on function quantumflow._token_of(uuid, bigint) is
'A lease_token: 53 bits, which a number in JSON holds exactly. p_secret: gen_random_uuid(), drawn once for all that a call hands out, since
where PostgreSQL is built without OpenSSL each draw opens a file; not of random(), whose course a session can set.
p_number: another one for each task of the call.';
