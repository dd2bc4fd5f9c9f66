// Signs one request with aws4 and prints what it made of it: node aws4.mjs REQUEST CREDENTIALS, both JSON.
import aws4 from "aws4";

const [request, credentials] = process.argv.slice(2).map((text) => JSON.parse(text));
const { path, headers } = aws4.sign(request, credentials);
console.log(JSON.stringify({ path, headers }));
