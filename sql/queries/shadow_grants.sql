-- What the detector's role may do in one schema, as statements that allow it the same in the shadow.
SELECT format('GRANT %%s ON SCHEMA fraud_shadow TO fraud_writer', given.privilege_type)
  FROM pg_namespace AS schema, aclexplode(schema.nspacl) AS given
 WHERE schema.nspname = %(schema)s AND given.grantee = to_regrole('fraud_writer')
UNION ALL
SELECT format('GRANT %%s ON fraud_shadow.%%I TO fraud_writer', given.privilege_type, live.relname)
  FROM pg_class AS live, aclexplode(live.relacl) AS given
 WHERE live.relnamespace = to_regnamespace(%(schema)s) AND live.relkind = 'r'
   AND given.grantee = to_regrole('fraud_writer')
UNION ALL
SELECT format('GRANT %%s (%%I) ON fraud_shadow.%%I TO fraud_writer',
              given.privilege_type, part.attname, live.relname)
  FROM pg_class AS live
  JOIN pg_attribute AS part ON part.attrelid = live.oid AND NOT part.attisdropped,
       aclexplode(part.attacl) AS given
 WHERE live.relnamespace = to_regnamespace(%(schema)s) AND live.relkind = 'r'
   AND given.grantee = to_regrole('fraud_writer')
