// Who has an account at the provider. Everybody's password is `secret`.

/** @type {Record<string, {name: string, email?: string, email_verified?: boolean}>} */
export const accounts = {
  anna: { name: 'Anna Andersen', email: 'anna@fleet.example', email_verified: true },
  boris: { name: 'Boris Berg', email: 'boris@fleet.example', email_verified: true },
  // The provider has not seen that the address is hers.
  vera: { name: 'Vera Vang', email: 'vera@fleet.example', email_verified: false },
  // Verified, but no user of the fleet's.
  ulla: { name: 'Ulla Ukendt', email: 'ulla@elsewhere.example', email_verified: true },
  // A user of the fleet's who is no longer active.
  ida: { name: 'Ida Inaktiv', email: 'ida@fleet.example', email_verified: true },
  // Without any address.
  nemo: { name: 'Nemo' },
};

export const password = 'secret';
