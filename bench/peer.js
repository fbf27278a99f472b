// Node's privateDecrypt, as a service outside of the database would use it.
//
//	node peer.js KEY.pem CIPHERTEXT		(RSA-OAEP with SHA-1, raw bytes)
//
// reads "pem N" (the PEM parsed in each call) or "kept N" (a KeyObject), one a
// line, and answers with wall and processor time in nanoseconds.
'use strict';
const crypto = require('crypto');
const fs = require('fs');

const pem = fs.readFileSync(process.argv[2], 'utf8');
const block = fs.readFileSync(process.argv[3]);
const keys = { pem, kept: crypto.createPrivateKey(pem) };
const padding = crypto.constants.RSA_PKCS1_OAEP_PADDING;

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
	const [name, n] = line.split(' ');
	const options = { key: keys[name], padding };
	const cpu = process.cpuUsage();
	const wall = process.hrtime.bigint();
	for (let i = 0; i < n; i++)
		crypto.privateDecrypt(options, block);
	const taken = process.hrtime.bigint() - wall;
	const used = process.cpuUsage(cpu);
	console.log(`${taken} ${(used.user + used.system) * 1000}`);
});
